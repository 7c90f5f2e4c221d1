/** The timeline below every view, which sets the moment that all views show. */

import { getJson, Latest } from "./api.js";
import { h, icon, iconButton, replace, throttle } from "./dom.js";
import { count, fullTime, text, time } from "./format.js";
import { isDark, variable } from "./colors.js";

/**
 * @typedef {{position: number, time: number, label: string}} Mark
 * @typedef {{first: {position: number, time: number} | null, last: {position: number, time: number} | null,
 *   marks: Mark[]}} Moments
 */

const PLAY_MS = 12000;
/** How long playing the whole history takes. */
const FRAME_MS = 120;

export class Timeline {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    /** @type {Moments} */
    this.moments = { first: null, last: null, marks: [] };
    /** @type {Latest<Moments>} */
    this.asking = new Latest();
    this.timer = 0;
    /** @type {string | null | undefined} */
    this.shown = undefined;
    this.play = iconButton("play", "Play the history", () => this.togglePlay());
    this.canvas = h("canvas", { class: "timeline-marks", "aria-hidden": "true" });
    this.range = h("input", { type: "range", class: "timeline-range", min: "0", max: "1", step: "1", "aria-label": "Moment to show", disabled: true });
    this.label = h("span", { class: "timeline-label" }, "Now");
    this.detail = h("span", { class: "timeline-detail" });
    this.now = h("button", { type: "button", class: "button small timeline-now", onclick: () => this.toNow() }, "Now");
    this.root = h(
      "footer",
      { class: "timeline", "aria-label": "History of the store" },
      this.play,
      h("div", { class: "timeline-track" }, this.canvas, this.range),
      h("div", { class: "timeline-text" }, this.label, this.detail),
      this.now,
    );
    this.range.addEventListener("input", () => this.move(Number(this.range.value)));
    this.range.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.move = throttle(60, (/** @type {number} */ position) => this.go(position));
    this.refresh = throttle(2000, () => this.asking.renew(() => this.load()));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    addEventListener("track:theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    let isFirst = true;
    app.onStore(() => {
      this.update();
      if (isFirst) this.load();
      isFirst = false;
    });
  }

  /** Return the trial of the view, if it shows a single one. */
  get #about() {
    const { state } = this.app;
    return state.view === "trial" ? state.uid : state.view === "history" ? state.get("trial") : "";
  }

  async load() {
    this.shown = this.#about;
    try {
      const moments = await this.asking.ask((signal) => getJson("moments", { trial: this.#about }, signal));
      if (!moments) return;
      this.moments = moments;
    } catch {
      return; // the frame reports that the server is gone; the marks stay as they are
    }
    this.draw();
    this.update();
  }

  /** Show the moment from the URL. */
  update() {
    if (this.shown !== undefined && this.shown !== this.#about) this.load();
    const { first, last } = this.moments;
    const store = this.app.store();
    const at = this.app.state.at;
    this.range.disabled = !first || !last;
    this.play.disabled = this.range.disabled;
    this.range.min = String(first?.position ?? 0);
    this.range.max = String(last?.position ?? 1);
    const position = at === null ? Number(this.range.max) : /^\d{1,16}$/.test(at) ? Number(at) : (store?.position ?? 0);
    this.range.value = String(position);
    this.root.classList.toggle("is-past", at !== null);
    this.now.disabled = at === null;
    const when = at === null ? (store?.last_at ?? last?.time) : this.timeAt(position);
    this.label.textContent = at === null ? "Now" : when ? time(when) : text(at);
    this.label.title = fullTime(when);
    this.detail.textContent = at === null ? (when ? `last event ${time(when)}` : "") : this.labelAt(position);
    this.range.setAttribute("aria-valuetext", at === null ? "now" : `${time(when)}, position ${count(position)}`);
    const [low, high] = [Number(this.range.min), Number(this.range.max)];
    this.root.style.setProperty("--share", String(high > low ? (position - low) / (high - low) : 1));
  }

  /** @param {import("./live.js").Change} _change */
  live(_change) {
    this.refresh();
  }

  /** @param {number} position */
  go(position) {
    const last = this.moments.last?.position ?? 0;
    this.app.state.set({ at: position >= last ? null : position }, { replace: true });
  }

  toNow() {
    this.stop();
    this.app.state.set({ at: null });
  }

  /** Go to the mark before or after the current moment.
   * @param {-1 | 1} direction
   */
  toMark(direction) {
    const here = Number(this.range.value);
    const places = this.moments.marks.map((mark) => mark.position);
    const next = direction < 0 ? places.filter((p) => p < here).at(-1) : places.find((p) => p > here);
    if (next !== undefined) this.go(next);
    else if (direction > 0) this.toNow();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step) return;
    event.preventDefault(); // moving by single positions would be too slow
    this.toMark(/** @type {-1 | 1} */ (step));
  }

  togglePlay() {
    if (this.timer) this.stop();
    else this.start();
  }

  start() {
    const { first, last } = this.moments;
    if (!first || !last) return;
    const step = Math.max(1, Math.round(((last.position - first.position) * FRAME_MS) / PLAY_MS));
    let position = this.app.state.at === null ? first.position : Number(this.range.value);
    const next = () => {
      position += step;
      this.go(position);
      if (position >= last.position) this.stop();
    };
    this.timer = setInterval(next, FRAME_MS);
    replace(this.play, icon("pause"));
    this.play.setAttribute("aria-label", "Pause");
    this.play.title = "Pause";
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    replace(this.play, icon("play"));
    this.play.setAttribute("aria-label", "Play the history");
    this.play.title = "Play the history";
  }

  /** Return the approximate time of a position, interpolated between marks.
   * @param {number} position
   */
  timeAt(position) {
    const { first, last, marks } = this.moments;
    if (!first || !last) return null;
    const known = [first, ...marks, last];
    const after = known.findIndex((mark) => mark.position >= position);
    if (after <= 0) return (after === 0 ? first : last).time;
    const [low, high] = [known[after - 1], known[after]];
    const share = high.position > low.position ? (position - low.position) / (high.position - low.position) : 1;
    return low.time + share * (high.time - low.time);
  }

  /** @param {number} position */
  labelAt(position) {
    const before = this.moments.marks.filter((mark) => mark.position <= position).at(-1);
    return before ? text(before.label, 60) : "";
  }

  /** Draw a line per mark: starts above, ends below. */
  draw() {
    const canvas = /** @type {HTMLCanvasElement} */ (/** @type {unknown} */ (this.canvas));
    const { first, last, marks } = this.moments;
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    if (!context || !first || !last || width === 0) return;
    context.scale(ratio, ratio);
    context.fillStyle = variable("--mark") || (isDark() ? "#777" : "#999");
    const span = Math.max(1, last.position - first.position);
    for (const mark of marks) {
      const x = 8 + ((mark.position - first.position) / span) * (width - 16);
      const isEnd = /(finish|complet|end|interrupt|fail|except|broken)\w*$/i.test(mark.label);
      context.fillRect(Math.round(x), isEnd ? height / 2 + 4 : height / 2 - 10, 1, 6);
    }
  }
}
