/** The list of events: a live tail, which can be paused, and pages of earlier events. */

import { getJson, Latest } from "./api.js";
import { h, replace } from "./dom.js";
import { count, fullTime, number, text, time, toNumber } from "./format.js";
import { blank, failed, messageOf, skeleton } from "./states.js";

/** @typedef {import("./api.js").StoreEvent} StoreEvent */

const PAGE = 200;
const MOST = 2000;
/** The most rows: older ones are dropped as new ones arrive, so the page does not grow. */

export class EventList {
  /** Newest first. @type {StoreEvent[]} */
  events = [];
  isPaused = false;
  /** The number of events that arrived while the list was paused. */
  waiting = 0;
  /** @type {(isPaused: boolean, waiting: number) => void} */
  onPause = () => {};
  onList = () => {};
  #hasOlder = false;
  /** @type {Latest<any>} */
  #asking = new Latest();
  /** @type {Latest<any>} */
  #askingNewer = new Latest();
  /** @type {Latest<any>} */
  #askingOlder = new Latest();
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #newest = 0;

  /**
   * @param {import("./app.js").App} app
   * @param {(event: StoreEvent) => void} onChoose
   */
  constructor(app, onChoose) {
    this.app = app;
    this.onChoose = onChoose;
    this.list = h("div", { class: "event-rows", role: "listbox", tabindex: "0", "aria-label": "Events, the latest first" });
    this.root = h("div", { class: "event-list" }, this.list);
    this.end = h("div", { class: "event-end" });
    this.root.append(this.end);
    this.seeing = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.older(), { root: this.root, rootMargin: "400px" });
    this.seeing.observe(this.end);
    this.list.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#choose(/** @type {HTMLElement} */ (event.target).closest(".event-row")));
    this.list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  get #query() {
    const { state } = this.app;
    return { trial: state.get("trial"), kind: state.get("kind").split(",").filter(Boolean), at: state.at };
  }

  /** Fetch the latest events. */
  async load() {
    if (this.events.length === 0) replace(this.list, skeleton(12));
    this.#askingNewer.cancel(); // their answers belong to the list that is replaced
    this.#askingOlder.cancel();
    try {
      const answer = await this.#asking.ask((signal) => getJson("events", { ...this.#query, limit: PAGE }, signal));
      if (!answer) return;
      this.events = answer.events.reverse();
      this.#hasOlder = this.events.length === PAGE;
      this.#newest = Math.max(answer.last ?? 0, this.events[0]?.position ?? 0, this.app.state.at === null ? (this.app.store()?.position ?? 0) : 0);
      this.waiting = 0;
      this.#draw();
    } catch (error) {
      replace(this.list, failed(error, () => this.load()));
    }
    this.onPause(this.isPaused, this.waiting);
  }

  #draw() {
    this.#rows.clear();
    if (this.events.length === 0) {
      const isFiltered = this.app.state.get("kind") || this.app.state.get("trial");
      replace(this.list, blank(isFiltered ? "No such event" : "Nothing has happened yet", "Events appear here as they are logged."));
    } else replace(this.list, this.events.map((event) => this.#row(event)));
    this.#note();
    this.onList();
  }

  /** @param {StoreEvent} event */
  #row(event) {
    const row = h(
      "div",
      { class: "event-row", role: "option", id: `event-${event.position}`, "aria-selected": "false", "data-position": event.position },
      h("time", { class: "event-time", title: fullTime(event.time) }, time(event.time)),
      h("span", { class: "event-kind", "data-kind": kindOf(event.kind) }, kindText(event.kind)),
      h("span", { class: "clip event-name", dir: "auto" }, this.nameOf(event)),
      h("span", { class: "clip event-summary", dir: "auto" }, summaryOf(event)),
    );
    this.#rows.set(event.position, row);
    return row;
  }

  /** @param {StoreEvent} event */
  nameOf(event) {
    const subject = /** @type {any} */ (event.subject ?? {});
    return text(subject.name ?? subject.uid?.slice(0, 12) ?? "", 80);
  }

  /** @param {number} position */
  find(position) {
    return this.events.find((event) => event.position === position);
  }

  /** @param {number | null} position */
  mark(position) {
    for (const [place, row] of this.#rows) row.setAttribute("aria-selected", String(place === position));
    if (position !== null && this.#rows.has(position)) this.list.setAttribute("aria-activedescendant", `event-${position}`);
    else this.list.removeAttribute("aria-activedescendant");
  }

  /** @param {Element | null} row */
  #choose(row) {
    const event = row && this.find(Number(/** @type {HTMLElement} */ (row).dataset.position));
    if (event) this.onChoose(event);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const move = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const here = Number(this.app.state.get("event")) || this.events[0]?.position;
    const next = this.events[this.events.findIndex((one) => one.position === here) + move];
    if (!next) return;
    this.onChoose(next);
    this.#rows.get(next.position)?.scrollIntoView({ block: "nearest" });
  }

  #scrolled() {
    if (this.root.scrollTop > 200 && !this.isPaused && this.app.state.at === null) this.toggle(); // the user is reading
  }

  toggle() {
    this.isPaused = !this.isPaused;
    if (!this.isPaused) {
      this.root.scrollTop = 0;
      this.load();
    }
    this.onPause(this.isPaused, this.waiting);
  }

  /** @param {import("./live.js").Change} change */
  live(change) {
    if (this.isPaused) {
      this.waiting += Object.values(change.kinds).reduce((sum, n) => sum + n, 0);
      this.onPause(true, this.waiting);
      return;
    }
    this.#asking.renew(() => this.#askingNewer.renew(() => this.#newer()));
  }

  /** Fetch the events after those of the list. */
  async #newer() {
    try {
      const answer = await this.#askingNewer.ask((signal) => getJson("events", { ...this.#query, after: this.#newest, limit: PAGE }, signal));
      if (!answer) return;
      if (answer.events.length >= PAGE) await this.load(); // more than a page arrived: continue from the latest
      else this.#prepend(answer.events, answer.last);
    } catch {
      // the frame reports that the server is gone; missed events are fetched afterwards
    }
  }

  /** @param {StoreEvent[]} events @param {number | null} last */
  #prepend(events, last) {
    if (events.length === 0) return;
    this.#newest = Math.max(this.#newest, last ?? 0);
    if (this.events.length === 0) replace(this.list);
    for (const event of events) {
      if (this.#rows.has(event.position)) continue;
      this.events.unshift(event);
      const row = this.#row(event);
      row.classList.add("is-new");
      this.list.prepend(row);
    }
    while (this.events.length > MOST) {
      const old = this.events.pop();
      if (old) this.#rows.get(old.position)?.remove();
      if (old) this.#rows.delete(old.position);
      this.#hasOlder = true;
    }
    this.#note();
    this.onList();
  }

  /** Fetch a page of earlier events. */
  async older() {
    if (!this.#hasOlder || this.events.length >= MOST) return;
    try {
      const before = this.events[this.events.length - 1].position;
      const answer = await this.#askingOlder.ask((signal) => getJson("events", { ...this.#query, before, limit: PAGE }, signal));
      if (!answer) return;
      const { events } = answer;
      this.#hasOlder = events.length === PAGE;
      for (const event of events.reverse()) {
        if (this.#rows.has(event.position)) continue;
        this.events.push(event);
        this.list.append(this.#row(event));
      }
    } catch (error) {
      this.end.textContent = messageOf(error);
    }
    this.#note();
  }

  #note() {
    if (this.events.length >= MOST && this.#hasOlder) this.end.textContent = `Showing ${count(this.events.length)} events. Move the slider back to see earlier ones.`;
    else this.end.textContent = this.#hasOlder || this.events.length === 0 ? "" : "The first event";
  }

  close() {
    for (const asking of [this.#asking, this.#askingNewer, this.#askingOlder]) asking.cancel();
    this.seeing.disconnect();
  }
}

/** Return the name of a kind of event in words.
 * @param {string} kind
 */
export function kindText(kind) {
  const words = text(kind, 60).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {string} kind */
function kindOf(kind) {
  if (/Metrics/.test(kind)) return "metrics";
  if (/Trial(Created|Started|Finished)|Status/.test(kind)) return "life";
  if (/Redacted|Archived|Restored/.test(kind)) return "care";
  return "other";
}

/** @param {StoreEvent} event */
function summaryOf({ kind, payload }) {
  if (!payload || typeof payload !== "object") return text(payload);
  if (kind === "StatusChanged") return [payload.name, payload.error].filter(Boolean).map((part) => text(part, 200)).join(": ");
  if (kind === "TrialFinished" || kind === "ChronoFinished") return [payload.name, typeof payload.elapsed === "number" ? `${number(payload.elapsed)} s` : null, payload.exception].filter(Boolean).map((part) => text(part, 200)).join("  ");
  const logged = payload.values ?? payload;
  const values = Object.entries(logged).filter(([, value]) => value !== null && typeof value !== "object");
  // Many values arrive as text, cut short.
  const written = typeof logged === "string" ? text(logged, 300) : values.slice(0, 8).map(([name, value]) => `${text(name, 60)}=${toNumber(value) === null ? text(value, 60) : number(value)}`).join("  ");
  return payload.step !== null && payload.step !== undefined && payload.values ? `step ${text(payload.step, 20)}  ${written}` : written;
}
