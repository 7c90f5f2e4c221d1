/** Parallel coordinates: one line per trial through its parameters and metrics. */

import { h, replace, setStyle, svg } from "./dom.js";
import { shade } from "./colors.js";
import { dimensionIds, dimensionOf, labelOf, shareOf, valueAt } from "./dimensions.js";
import { nameOf, number, time } from "./format.js";
import { menuButton } from "./popover.js";
import { blank } from "./states.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./dimensions.js").Dimension} Dimension */

const HEIGHT = 460;
const TOP = 54;
const BOTTOM = 24;
const LEAST_APART = 84;
/** The least distance between axes; if there is not enough room, they scroll. */
const MOST_AXES = 12;
const NEAR = 6;
const FEW = 6;

export class Parallel {
  /** @param {import("./app.js").App} app @param {Row[]} rows */
  constructor(app, rows) {
    this.app = app;
    this.rows = rows;
    this.ids = dimensionIds(rows);
    this.canvas = /** @type {HTMLCanvasElement} */ (/** @type {unknown} */ (h("canvas", { class: "parallel-lines", "aria-hidden": "true" })));
    this.overlay = svg("svg", { class: "parallel-axes", role: "group", "aria-label": "Axes: drag along one to keep only the trials in that range" });
    this.readout = h("p", { class: "picture-readout", role: "status" });
    this.menu = menuButton("Axes", () => this.#menu());
    this.plot = h("div", { class: "parallel-plot" }, this.canvas, this.overlay);
    this.root = h("div", { class: "parallel" }, h("div", { class: "picture-bar" }, this.menu, this.readout), h("div", { class: "parallel-scroll" }, this.plot));
    /** @type {Map<string, [number, number]>} */
    this.brushes = new Map();
    this.hovered = -1;
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot);
    this.onTheme = () => this.draw();
    addEventListener("track:theme", this.onTheme);
    this.plot.addEventListener("mousemove", (/** @type {MouseEvent} */ event) => this.#hover(event));
    this.plot.addEventListener("mouseleave", () => this.#highlight(-1));
    this.plot.addEventListener("click", (/** @type {MouseEvent} */ event) => this.hovered >= 0 && !event.defaultPrevented && app.state.go("trial", rows[this.hovered].uid));
  }

  get axisIds() {
    const chosen = this.app.state.all("axes").filter((id) => this.ids.includes(id));
    if (chosen.length >= 2) return chosen.slice(0, MOST_AXES);
    const parameters = this.ids.filter((id) => id.startsWith("parameters.")).slice(0, 6);
    return [...parameters, ...this.ids.filter((id) => id.startsWith("metrics.")).slice(0, 3)];
  }

  #menu() {
    const chosen = this.axisIds;
    return h("fieldset", { class: "choices" }, h("legend", null, `Up to ${MOST_AXES} axes; the last one colours the lines`), this.ids.slice(0, 200).map((id) =>
      h("label", { class: "option" }, h("input", { type: "checkbox", checked: chosen.includes(id), onchange: (/** @type {any} */ event) => {
        const now = this.axisIds;
        this.app.state.set({ axes: event.target.checked ? [...now, id] : now.filter((one) => one !== id) }, { replace: true });
      } }), h("span", { class: "clip" }, labelOf(id))),
    ));
  }

  update() {
    this.draw();
  }

  draw() {
    /** @type {Dimension[]} */
    this.axes = this.axisIds.map((id) => dimensionOf(this.rows, id)).filter((one) => one !== null);
    setStyle(this.plot, { "min-width": `${LEAST_APART * this.axes.length}px` });
    const width = this.plot.clientWidth;
    this.width = width;
    if (width === 0) return;
    if (this.axes.length < 2) {
      replace(this.plot, blank("Nothing to compare", "These trials have fewer than two metrics or differing parameters."));
      return;
    }
    const side = width < 700 ? 30 : 60;
    const axes = this.axes.length;
    this.xs = this.axes.map((_, i) => side + (i * (width - 2 * side)) / Math.max(1, axes - 1));
    this.#drawAxes();
    this.#drawLines();
  }

  /** @param {Dimension} axis @param {number | null} value */
  #y(axis, value) {
    return value === null ? null : HEIGHT - BOTTOM - shareOf(axis, value) * (HEIGHT - TOP - BOTTOM);
  }

  #drawAxes() {
    const axes = /** @type {Dimension[]} */ (this.axes);
    const xs = /** @type {number[]} */ (this.xs);
    this.overlay.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    replace(this.overlay, axes.map((axis, i) => {
      const x = xs[i];
      const isLast = i === axes.length - 1;
      const anchor = i === 0 && xs[0] < 50 ? "start" : isLast && this.width && this.width < 700 ? "end" : "middle";
      const ticks = ticksOf(axis);
      const brush = this.brushes.get(axis.id);
      const top = brush ? /** @type {number} */ (this.#y(axis, brush[1])) : 0;
      const bottom = brush ? /** @type {number} */ (this.#y(axis, brush[0])) : 0;
      const group = svg(
        "g",
        { transform: `translate(${x} 0)` },
        svg("text", { class: "axis-label", y: i % 2 ? 32 : 16, "text-anchor": anchor }, axis.label.length > 24 ? `${axis.label.slice(0, 23)}…` : axis.label, svg("title", null, axis.label)),
        svg("line", { class: "axis-line", y1: TOP, y2: HEIGHT - BOTTOM }),
        ticks.map(({ at, label }) => svg("text", { class: "axis-tick", x: isLast ? -7 : 7, y: (this.#y(axis, at) ?? 0) - 4, "text-anchor": isLast ? "end" : "start" }, label.length > 14 ? `${label.slice(0, 13)}…` : label)),
        brush ? svg("rect", { class: "axis-brush", x: -8, width: 16, y: top, height: Math.max(2, bottom - top) }) : null,
        svg("rect", { class: "axis-room", x: -14, width: 28, y: TOP - 6, height: HEIGHT - TOP - BOTTOM + 12 }),
      );
      const room = /** @type {SVGRectElement} */ (group.querySelector(".axis-room"));
      room.addEventListener("pointerdown", (event) => this.#brush(event, axis));
      return group;
    }));
  }

  /** Keep the trials in the range of an axis over which the pointer is dragged.
   * @param {PointerEvent} down
   * @param {Dimension} axis
   */
  #brush(down, axis) {
    down.preventDefault();
    const box = this.plot.getBoundingClientRect();
    const shareAt = (/** @type {number} */ clientY) => Math.min(1, Math.max(0, (HEIGHT - BOTTOM - (clientY - box.top)) / (HEIGHT - TOP - BOTTOM)));
    const from = shareAt(down.clientY);
    this.brushes.delete(axis.id);
    const move = (/** @type {PointerEvent} */ event) => {
      const to = shareAt(event.clientY);
      if (Math.abs(to - from) > 0.01) this.brushes.set(axis.id, [valueAt(axis, Math.min(from, to)), valueAt(axis, Math.max(from, to))]);
      this.#drawAxes();
      this.#drawLines();
    };
    const up = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      this.#drawAxes();
      this.#drawLines();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
  }

  /** @param {number} i */
  #isKept(i) {
    return [...this.brushes].every(([id, [low, high]]) => {
      const value = this.axes?.find((axis) => axis.id === id)?.values[i];
      return value !== null && value !== undefined && value >= low && value <= high;
    });
  }

  #drawLines() {
    const ratio = devicePixelRatio || 1;
    const [width, axes, xs] = [this.width ?? 0, this.axes ?? [], this.xs ?? []];
    this.canvas.width = width * ratio;
    this.canvas.height = HEIGHT * ratio;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.scale(ratio, ratio);
    const last = axes[axes.length - 1];
    let kept = 0;
    const alpha = Math.max(0.2, Math.min(0.85, 60 / this.rows.length));
    const stroke = (/** @type {number} */ i, /** @type {number} */ opacity, /** @type {number} */ thickness) => {
      const value = last.values[i];
      context.globalAlpha = opacity;
      context.lineWidth = thickness;
      context.strokeStyle = value === null ? "#888" : shade(shareOf(last, value));
      context.beginPath();
      let isOpen = false;
      axes.forEach((axis, place) => {
        const y = this.#y(axis, axis.values[i]);
        if (y === null) isOpen = false;
        else if (isOpen) {
          const middle = (xs[place - 1] + xs[place]) / 2;
          context.bezierCurveTo(middle, /** @type {number} */ (this.#y(axes[place - 1], axes[place - 1].values[i])), middle, y, xs[place], y);
        } else {
          context.moveTo(xs[place], y);
          isOpen = true;
        }
      });
      context.stroke();
    };
    this.rows.forEach((_, i) => {
      if (!this.#isKept(i)) stroke(i, 0.05, 1);
    });
    this.rows.forEach((_, i) => {
      if (!this.#isKept(i)) return;
      kept += 1;
      stroke(i, this.hovered >= 0 ? alpha / 3 : alpha, 1.4);
    });
    if (this.hovered >= 0) stroke(this.hovered, 1, 3);
    this.#say(kept, last);
  }

  /** @param {number} kept @param {Dimension} last */
  #say(kept, last) {
    const row = this.rows[this.hovered];
    const value = this.hovered >= 0 ? last.values[this.hovered] : null;
    replace(this.readout, row ? [h("b", null, nameOf(row)), value === null ? "" : `  ${last.label} ${last.names ? last.names[value] : number(value)}`] : this.brushes.size ? [`${kept} of ${this.rows.length} kept  `, h("button", { type: "button", class: "button small", onclick: () => {
      this.brushes.clear();
      this.draw();
    } }, "Keep all"), h("button", { type: "button", class: "button small", onclick: () => this.#choose() }, "Choose these")] : "Drag along an axis to select a range of trials.");
  }

  #choose() {
    const uids = this.rows.filter((_, i) => this.#isKept(i)).map((row) => row.uid);
    this.app.state.set({ select: uids.slice(0, 200) });
  }

  /** @param {MouseEvent} event */
  #hover(event) {
    if (!this.axes || !this.xs || event.buttons) return;
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const place = Math.max(1, this.xs.findIndex((at) => at >= x));
    const [left, right] = [this.xs[place - 1], this.xs[place] ?? this.xs[place - 1] + 1];
    const t = Math.min(1, Math.max(0, (x - left) / (right - left)));
    const ease = t * t * (3 - 2 * t);
    let [best, distance] = [-1, NEAR];
    this.rows.forEach((_, i) => {
      const from = this.#y(/** @type {any} */ (this.axes)[place - 1], /** @type {any} */ (this.axes)[place - 1].values[i]);
      const axis = /** @type {any} */ (this.axes)[place];
      const to = axis ? this.#y(axis, axis.values[i]) : from;
      if (from === null || to === null || !this.#isKept(i)) return;
      const away = Math.abs(from + (to - from) * ease - y);
      if (away < distance) [best, distance] = [i, away];
    });
    this.#highlight(best);
  }

  /** @param {number} i */
  #highlight(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.plot.classList.toggle("is-over-line", i >= 0);
    if (this.axes && this.axes.length > 1) this.#drawLines();
  }

  close() {
    this.sizes.disconnect();
    removeEventListener("track:theme", this.onTheme);
  }
}

/** Return the values to label an axis with: all of them if there are few, otherwise a selection.
 * @param {Dimension} axis
 */
function ticksOf(axis) {
  const write = (/** @type {number} */ value) => (axis.names ? axis.names[value] : axis.id === "start" ? time(value) : number(value, 3));
  const distinct = [...new Set(axis.values)].filter((value) => value !== null);
  const values = axis.names || distinct.length <= FEW ? distinct : [0, 0.25, 0.5, 0.75, 1].map((share) => valueAt(axis, share));
  return values.map((at) => ({ at, label: write(at) }));
}
