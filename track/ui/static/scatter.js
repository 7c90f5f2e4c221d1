/** A scatter plot: one point per trial, by two of its parameters or metrics, coloured by a third. */

import { h, replace, svg } from "./dom.js";
import { shade } from "./colors.js";
import { dimensionIds, dimensionOf, labelOf, roundNumbers, shareOf, valueAt } from "./dimensions.js";
import { cut, nameOf, number, tick, time } from "./format.js";
import { blank } from "./states.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./dimensions.js").Dimension} Dimension */

const HEIGHT = 480;
const ROOM = { left: 70, right: 24, top: 16, bottom: 46 };
const LETTER = 7;
/** The width of a letter below an axis, and of the room beside it. */
const MARGIN = 16;
/** The margin between the outermost points and the edges, so that no point is cut off. */

export class Scatter {
  /** @param {import("./app.js").App} app @param {Row[]} rows */
  constructor(app, rows) {
    this.app = app;
    this.rows = rows;
    this.ids = dimensionIds(rows);
    this.picture = svg("svg", { class: "scatter", role: "group" });
    this.readout = h("p", { class: "picture-readout", role: "status" });
    this.bar = h("div", { class: "picture-bar" });
    this.plot = h("div", { class: "scatter-plot" }, this.picture);
    this.root = h("div", { class: "parallel" }, this.bar, this.plot);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot);
    this.onTheme = () => this.draw();
    addEventListener("track:theme", this.onTheme);
  }

  get chosen() {
    const { state } = this.app;
    const parameters = this.ids.filter((id) => id.startsWith("parameters."));
    const metrics = this.ids.filter((id) => id.startsWith("metrics."));
    const known = (/** @type {string} */ name, /** @type {string} */ otherwise) => (this.ids.includes(state.get(name)) ? state.get(name) : otherwise);
    return { x: known("sx", parameters[0] ?? "runtime"), y: known("sy", metrics[0] ?? "start"), color: known("sc", metrics[1] ?? metrics[0] ?? "runtime") };
  }

  #showBar() {
    const chosen = this.chosen;
    const select = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ value) =>
      h("label", { class: "field" }, label, h("select", { class: "select", value, onchange: (/** @type {any} */ event) => this.app.state.set({ [name]: event.target.value }, { replace: true }) }, this.ids.slice(0, 300).map((id) => h("option", { value: id, selected: id === value }, labelOf(id)))));
    replace(this.bar, select("sx", "Horizontal", chosen.x), select("sy", "Vertical", chosen.y), select("sc", "Colour", chosen.color), this.readout);
  }

  update() {
    this.#showBar();
    this.draw();
  }

  draw() {
    if (!this.bar.firstChild) this.#showBar();
    const width = this.plot.clientWidth;
    if (width === 0) return;
    const chosen = this.chosen;
    const [x, y, color] = [chosen.x, chosen.y, chosen.color].map((id) => dimensionOf(this.rows, id));
    if (!x || !y) {
      replace(this.plot, blank("Nothing to plot", "Choose other axes: these values are missing or have too many different texts."));
      return;
    }
    if (!this.picture.isConnected) replace(this.plot, this.picture);
    const px = (/** @type {number} */ value) => ROOM.left + MARGIN + shareOf(x, value) * (width - ROOM.left - ROOM.right - 2 * MARGIN);
    const py = (/** @type {number} */ value) => HEIGHT - ROOM.bottom - MARGIN - shareOf(y, value) * (HEIGHT - ROOM.top - ROOM.bottom - 2 * MARGIN);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", `${y.label} by ${x.label} of ${this.rows.length} trials`);
    replace(
      this.picture,
      ticksOf(x, width < 600 ? 3 : 5, { room: width - ROOM.left - ROOM.right - 2 * MARGIN, least: 48, longest: 16 }).map(({ value, label }) => [svg("line", { class: "grid-line", x1: px(value), x2: px(value), y1: ROOM.top, y2: HEIGHT - ROOM.bottom }), svg("text", { class: "axis-tick", x: px(value), y: HEIGHT - ROOM.bottom + 18, "text-anchor": "middle" }, label)]),
      ticksOf(y, 5, { room: HEIGHT - ROOM.top - ROOM.bottom - 2 * MARGIN, least: 16, longest: 9 }).map(({ value, label }) => [svg("line", { class: "grid-line", x1: ROOM.left, x2: width - ROOM.right, y1: py(value), y2: py(value) }), svg("text", { class: "axis-tick", x: ROOM.left - 10, y: py(value) + 4, "text-anchor": "end" }, label)]),
      svg("text", { class: "axis-label", x: (width + ROOM.left) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, x.label + (x.isLog ? " (log)" : "")),
      svg("text", { class: "axis-label", transform: `translate(14 ${HEIGHT / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label + (y.isLog ? " (log)" : "")),
      this.rows.map((row, i) => {
        const [at, up] = [x.values[i], y.values[i]];
        if (at === null || up === null) return null;
        const value = color?.values[i] ?? null;
        const fill = color && value !== null ? shade(shareOf(color, value)) : "#888";
        const said = `${nameOf(row)}: ${x.label} ${write(x, at)}, ${y.label} ${write(y, up)}${color && value !== null ? `, ${color.label} ${write(color, value)}` : ""}`;
        const say = () => {
          this.readout.textContent = said;
        };
        return svg("a", { href: this.app.state.href("trial", row.uid), "aria-label": said, onmouseenter: say, onfocus: say }, svg("circle", { class: "scatter-point", cx: px(at), cy: py(up), r: 5, fill }), svg("title", null, said));
      }),
    );
  }

  close() {
    this.sizes.disconnect();
    removeEventListener("track:theme", this.onTheme);
  }
}

/**
 * Return the ticks of an axis. Of texts, as many are shown as there is room for.
 * @param {Dimension} dimension
 * @param {number} n
 * @param {{room: number, least: number, longest: number}} texts the pixels of all of them and of each one,
 *   and the most characters of each
 */
function ticksOf(dimension, n, { room, least, longest }) {
  if (dimension.names) {
    const each = Math.ceil((dimension.names.length * least) / room);
    const fit = Math.floor((room / dimension.names.length) * each / LETTER);
    const most = least < longest * LETTER ? Math.min(longest, Math.max(4, fit)) : longest;
    return dimension.names.map((label, value) => ({ value, label: cut(label, most) })).filter((_, i) => i % each === 0);
  }
  if (dimension.low === dimension.high) return [{ value: dimension.low, label: write(dimension, dimension.low) }];
  const round = dimension.id === "start" ? [] : roundNumbers(dimension, n);
  if (round.length > 1) return round.map((value) => ({ value, label: tick(value) }));
  return (n < 5 ? [0, 1] : [0, 0.5, 1]).map((share) => valueAt(dimension, share)).map((value) => ({ value, label: write(dimension, value, 3) }));
}

/** @param {Dimension} dimension @param {number} value @param {number} [digits] */
function write(dimension, value, digits = 4) {
  if (dimension.names) return dimension.names[value];
  return dimension.id === "start" ? time(value) : number(value, digits);
}
