/** A chart of one metric: lines of many trials, with a cursor, zoom, marks and export. */

import { recorded } from "./recorded.js";
import { announce, h, iconButton, replace, setStyle } from "./dom.js";
import { lookOf, variable } from "./colors.js";
import { count, duration, nameText, number, plural, text, ticks, time } from "./format.js";
import { swatch } from "./grid.js";
import { Key } from "./key.js";
import { closest, prepare } from "./lines.js";
import { drawMarks } from "./marks.js";
import { menuButton } from "./popover.js";
import { spread } from "./ranges.js";
import { areResults, results } from "./results.js";
import { saveImage, saveTable, showTable } from "./saving.js";
import { skeleton } from "./states.js";

/** @typedef {import("./api.js").Series} Series */
/** @typedef {import("./lines.js").Joined} Joined */
/**
 * @typedef {{x: import("./lines.js").XKind, isLogX: boolean, isLogY: boolean, smoothing: number | null,
 *   band: "range" | "deviation", zoom: [number, number] | null}} ChartOptions
 * @typedef {{
 *   nameOf: (uid: string) => string, labelOf: (uid: string) => string, starts: Map<string, number>,
 *   groupOf: Map<string, string> | null, hasKey?: boolean, beside?: () => Chart[],
 *   onZoom: (zoom: [number, number] | null) => void,
 *   onHover: (chart: Chart | null, values: Map<string, number>) => void,
 *   onFocus: (uid: string | null) => void,
 *   onPoint: (anchor: Element, point: {uid: string, metric: string, step: number | string, time: number, value: number}) => void,
 * }} ChartHost
 */

const HEIGHT = 220;
const REACH = 0.03;
/** The fraction of the chart's width beyond which a line has no value at the cursor. */
const MOST_IN_TOOLTIP = 10;
const LONGEST_TICK = 14;
/** The distances of ticks on an axis of texts. */
const WHOLE = Array.from({ length: 16 }, (_, i) => [1, 2, 5].map((one) => one * 10 ** i)).flat();

/** @type {Promise<any> | null} */
let library = null;

/** Load uPlot and its style sheet once, when the first chart is drawn. */
function loadLibrary() {
  if (library === null) {
    const styled = recorded || new Promise((done) => document.head.append(h("link", { rel: "stylesheet", href: "static/vendor/uPlot.min.css", onload: done, onerror: done })));
    library = Promise.all([import("./vendor/uPlot.esm.js"), styled]).then(([module]) => module.default);
    library.catch(() => (library = null)); // the next chart tries again
  }
  return library;
}

export class Chart {
  /** @type {any} */
  plot = null;
  /** @type {Joined | null} */
  data = null;
  /** @type {Series[]} */
  series = [];
  /** @type {Map<string, Series>} The metric of each trial used as the horizontal axis. */
  across = new Map();
  /** @type {[number | null, number | null]} The smallest and the largest value in sight. */
  own = [null, null];
  #shape = "";
  #isDrawing = false;
  /** @type {string | null} */
  #focused = null;

  /**
   * @param {string} metric
   * @param {ChartHost} host
   * @param {ChartOptions} options
   * @param {any} sync what links the cursors of charts
   * @param {string} [facet] what the trials have in common, if there are such charts for others
   */
  constructor(metric, host, options, sync, facet = "") {
    this.metric = metric;
    this.host = host;
    this.options = options;
    this.sync = sync;
    this.readout = h("span", { class: "chart-readout" });
    this.note = h("span", { class: "chart-note clip" });
    this.tooltip = h("div", { class: "tooltip", hidden: true });
    this.area = h("div", { class: "chart-area", tabindex: "0", role: "img", "aria-label": `Chart of ${text(metric, 100)}${facet ? `, ${text(facet, 100)}` : ""}. Arrow keys move the cursor, plus and minus zoom.` }, skeleton(7));
    this.key = new Key(metric, host);
    this.menu = menuButton("⋯", () => this.#menu(), { class: "icon-button", "aria-label": `Save or list ${text(metric, 60)}${facet ? `, ${text(facet, 60)}` : ""}` });
    this.root = h(
      "figure",
      { class: "chart", "data-metric": text(metric), "data-facet": facet || null },
      h("figcaption", { class: "chart-head" }, h("h3", { class: "clip", title: text(metric, 1000), dir: "auto" }, facet ? text(facet, 100) : nameText(metric, 100)), this.note, this.readout, this.menu),
      this.area,
      this.key.root,
      this.tooltip,
    );
    this.area.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.resizes = new ResizeObserver(() => {
      this.plot?.setSize({ width: this.area.clientWidth, height: HEIGHT });
      this.key.fit();
    });
    this.resizes.observe(this.area);
    loadLibrary(); // while the points are fetched
  }

  #menu() {
    const close = (/** @type {() => void} */ act) => () => {
      this.menu.close();
      act();
    };
    const item = (/** @type {string} */ label, /** @type {() => void} */ act) => h("button", { type: "button", class: "menu-item", onclick: close(act) }, label);
    return [
      item("Show as a table", () => showTable(this)),
      item("Save the points as CSV", () => saveTable(this)),
      item("Save as PNG", () => saveImage(this)),
    ];
  }

  /**
   * Show series, or the same ones otherwise.
   * @param {Series[]} series
   * @param {ChartOptions} [options]
   * @param {Map<string, Series>} [across]
   */
  async show(series, options = this.options, across = this.across) {
    this.series = series;
    this.across = across;
    this.options = options;
    if (this.#isDrawing) return;
    this.#isDrawing = true; // until the library is loaded, only the latest state is drawn
    const uPlot = await loadLibrary();
    this.#isDrawing = false;
    if (!this.area.isConnected) return;
    this.data = prepare(this.series, { ...this.options, starts: this.host.starts, across: this.across, groupOf: this.host.groupOf });
    if (areResults(this.series, this.options.x)) {
      this.#showResults();
      return;
    }
    const shape = JSON.stringify([{ ...this.options, zoom: null }, this.data.unit, this.data.names, this.data.lines.map((line) => [line.uid, line.behind.length])]);
    if (shape === this.#shape && this.plot) this.plot.setData([this.data.x, ...this.data.columns]);
    else this.#draw(uPlot);
    if (shape !== this.#shape) this.key.show(this.data.lines.map((line) => line.uid));
    this.#shape = shape;
    this.#notes();
  }

  #showResults() {
    this.plot?.destroy();
    this.plot = null;
    this.#shape = "";
    this.key.show([]);
    replace(this.area, results(this.metric, this.series, this.host));
    this.#notes();
  }

  /** Redraw in the colours of the other scheme. */
  recolor() {
    this.#shape = "";
    if (this.data) this.show(this.series);
  }

  /** @param {any} uPlot */
  #draw(uPlot) {
    this.plot?.destroy();
    replace(this.area);
    const data = /** @type {Joined} */ (this.data);
    const { isLogX, isLogY, x: kind } = this.options;
    const isWall = kind === "wall";
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { font, stroke: variable("--soft"), grid: { stroke: variable("--grid-line"), width: 1 }, ticks: { show: false } };
    const range = (/** @type {any} */ _plot, /** @type {number | null} */ low, /** @type {number | null} */ high) => this.options.zoom ?? spread(low, high, isLogX, 0);
    const options = {
      width: this.area.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      focus: { alpha: 0.22 },
      padding: [8, 16, 0, 0],
      cursor: {
        y: false,
        sync: { key: this.sync.key, scales: ["x", null] },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        focus: { prox: 18 },
        points: { size: 6 },
        dataIdx: (/** @type {any} */ plot, /** @type {number} */ place, /** @type {number} */ index) => this.#closest(plot, place, index),
        bind: { dblclick: () => () => this.host.onZoom(null) },
      },
      scales: {
        x: { time: isWall, distr: isLogX ? 3 : 1, range },
        y: { distr: isLogY ? 3 : 1, range: (/** @type {any} */ _plot, /** @type {number | null} */ low, /** @type {number | null} */ high) => this.#ownLimits(low, high) },
      },
      axes: [
        { ...axis, size: 28, gap: 6, space: isWall || data.names ? 90 : 64, ...(data.names ? { incrs: WHOLE } : {}), ...(isWall ? {} : { values: (/** @type {any} */ _plot, /** @type {(number | null)[]} */ splits) => this.#ticksBelow(splits) }) },
        { ...axis, size: (/** @type {any} */ _plot, /** @type {string[] | null} */ values) => Math.max(34, ...(values ?? []).map((value) => value.length * 6.4 + 14)), gap: 6, space: 36, values: (/** @type {any} */ _plot, /** @type {(number | null)[]} */ splits) => ticks(splits.map((value) => (value === null ? null : value * data.unit))) },
      ],
      series: [{}, ...data.lines.flatMap((line) => this.#specs(line))],
      bands: data.lines.flatMap((line, i) => (line.behind.length === 2 ? [{ series: [i * 3 + 1, i * 3 + 2], fill: `${lookOf(line.uid).color}30` }] : [])),
      hooks: {
        draw: [(/** @type {any} */ plot) => drawMarks(plot, this.data?.lines ?? [])],
        setCursor: [(/** @type {any} */ plot) => this.#hover(plot)],
        setSelect: [(/** @type {any} */ plot) => this.#select(plot)],
        setSeries: [(/** @type {any} */ _plot, /** @type {number | null} */ place) => this.#focusChanged(place)],
      },
    };
    this.plot = new uPlot(options, [data.x, ...data.columns], this.area);
    this.plot.over.addEventListener("click", () => this.#click());
    this.plot.over.addEventListener("mouseleave", () => this.#left());
  }

  /** @param {import("./lines.js").Line} line */
  #specs(line) {
    const { color, dash } = lookOf(line.uid);
    const hasFew = line.x.length < 2;
    const drawn = { stroke: color, width: 1.6, dash, points: { show: hasFew, size: 6, fill: color } };
    const behind = line.behind.map(() => ({ ...drawn, label: line.uid, width: 1, stroke: `${color}48`, dash: [], points: { show: false } }));
    return [...behind, { ...drawn, label: line.uid, width: behind.length ? 1.8 : 1.6 }];
  }

  #beside() {
    return this.host.beside?.() ?? [];
  }

  /** Return the range of the vertical axis, which charts of one metric have in common. */
  #limits() {
    const all = [...this.#beside().flatMap((chart) => chart.own), ...this.own].filter((value) => value !== null && Number.isFinite(value));
    return all.length ? spread(Math.min(...all), Math.max(...all), this.options.isLogY, 0.06) : spread(null, null, this.options.isLogY, 0);
  }

  /** @param {number | null} low @param {number | null} high the extremes in sight */
  #ownLimits(low, high) {
    const isOther = this.own[0] !== low || this.own[1] !== high;
    this.own = [low, high];
    if (isOther) queueMicrotask(() => this.#beside().forEach((chart) => chart !== this && chart.#follow()));
    return this.#limits();
  }

  /** Take over the range of the charts beside, which have changed. */
  #follow() {
    if (!this.plot || this.own[0] === null) return;
    const [min, max] = this.#limits();
    const { y } = this.plot.scales;
    if (y.min !== min || y.max !== max) this.plot.setScale("y", { min, max });
  }

  /** @param {any} plot @param {number} place @param {number} index */
  #closest(plot, place, index) {
    if (place === 0) return index;
    if (place % this.#each !== 0) return null; // its values come from another column
    const { min, max } = plot.scales.x;
    return closest(plot.data[place], index, plot.data[0], (max - min) * REACH);
  }

  /** Write what is below the horizontal axis. @param {(number | null)[]} splits */
  #ticksBelow(splits) {
    const names = this.data?.names;
    if (names) return splits.map((value) => text(names[value ?? -1], LONGEST_TICK));
    if (this.options.x === "relative") return splits.map((value) => duration(value));
    return ticks(splits);
  }

  /** The number of columns per line. */
  get #each() {
    return 1 + (this.data?.lines[0]?.behind.length ?? 0);
  }

  /** @returns {{place: number, line: import("./lines.js").Line}[]} the columns with values, and their lines */
  #columns() {
    const each = this.#each;
    return (this.data?.lines ?? []).map((line, i) => ({ place: i * each + each, line }));
  }

  /** Return the value of each line at the cursor.
   * @param {number} [before] by how many columns: 1 for what was logged, of smoothed lines
   */
  valuesAtCursor(before = 0) {
    const found = new Map();
    for (const { place, line } of this.#columns()) {
      const index = this.plot.cursor.idxs?.[place];
      const value = index === null || index === undefined ? null : this.plot.data[place - before][index];
      if (value !== null && value !== undefined) found.set(line.uid, value * (this.data?.unit ?? 1));
    }
    return found;
  }

  /** @param {any} plot */
  #hover(plot) {
    const { left, idx } = plot.cursor;
    const isHere = plot.over.matches(":hover") || document.activeElement === this.area;
    if (left < 0 || idx === null || idx === undefined) {
      this.tooltip.hidden = true;
      this.readout.textContent = "";
      return;
    }
    const values = this.valuesAtCursor();
    const shown = this.#focused && values.has(this.#focused) ? this.#focused : values.size === 1 ? [...values.keys()][0] : null;
    this.readout.textContent = shown ? number(values.get(shown)) : "";
    this.tooltip.hidden = !isHere || values.size === 0;
    if (!isHere) return;
    this.host.onHover(this, values);
    this.#fillTooltip(plot, values);
  }

  /** @param {any} plot @param {Map<string, number>} values */
  #fillTooltip(plot, values) {
    const x = plot.data[0][plot.cursor.idx];
    const logged = this.#each === 2 ? this.valuesAtCursor(1) : new Map();
    const sorted = [...values].sort((a, b) => b[1] - a[1]);
    const focus = sorted.findIndex(([uid]) => uid === this.#focused);
    const start = Math.max(0, Math.min(focus - MOST_IN_TOOLTIP / 2, sorted.length - MOST_IN_TOOLTIP));
    replace(
      this.tooltip,
      h("div", { class: "tooltip-head" }, h("span", { class: "clip" }, this.xText(x)), logged.size ? h("span", null, "smoothed, logged") : null),
      sorted.slice(start, start + MOST_IN_TOOLTIP).map(([uid, value]) =>
        h("div", { class: uid === this.#focused ? "tooltip-row is-focused" : "tooltip-row" }, swatch(uid), h("span", { class: "clip", dir: "auto" }, this.host.labelOf(uid)), h("b", null, number(value, 5, true)), logged.has(uid) ? h("span", { class: "tooltip-logged" }, number(logged.get(uid), 5, true)) : null),
      ),
      sorted.length > MOST_IN_TOOLTIP ? h("div", { class: "soft" }, `${sorted.length - MOST_IN_TOOLTIP} more`) : null,
    );
    const over = plot.over.getBoundingClientRect();
    const box = this.root.getBoundingClientRect();
    const at = over.left - box.left + plot.cursor.left;
    const isRight = at + 16 + this.tooltip.offsetWidth > box.width;
    setStyle(this.tooltip, { left: `${Math.max(0, isRight ? at - 14 - this.tooltip.offsetWidth : at + 14)}px`, top: `${over.top - box.top + 6}px` });
  }

  /** Format a position on the axis. @param {number} x */
  xText(x) {
    if (this.options.x === "wall") return time(x * 1000);
    if (this.options.x === "relative") return `after ${duration(x)}`;
    if (this.options.x !== "step") return `${text(this.options.x.slice("metric:".length), 40)} ${number(x, 6)}`;
    const { names } = /** @type {Joined} */ (this.data);
    return names ? text(names[x]) : `step ${Number.isInteger(x) ? count(x) : number(x, 6)}`;
  }

  #left() {
    this.tooltip.hidden = true;
    this.host.onHover(null, new Map());
  }

  /** @param {number | null} place */
  #focusChanged(place) {
    const line = place === null ? undefined : this.data?.lines[Math.ceil(place / this.#each) - 1];
    this.#lightKey(line?.uid ?? null);
    if (this.plot?.over.matches(":hover")) this.host.onFocus(this.#focused);
  }

  /** @param {string | null} uid */
  #lightKey(uid) {
    this.#focused = uid;
    this.key.light(uid);
  }

  /** Highlight one trial, or none. @param {string | null} uid */
  focus(uid) {
    if (!this.plot || this.#focused === uid) return;
    const column = this.#columns().find(({ line }) => line.uid === uid);
    this.plot.setSeries(column?.place ?? null, { focus: true });
    this.#lightKey(uid);
  }

  /** @param {any} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.host.onZoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  #click() {
    const column = this.#columns().find(({ line }) => line.uid === this.#focused);
    const index = column ? this.plot.cursor.idxs[column.place] : null;
    if (!column || index === null || index === undefined) return;
    const { line } = column;
    const place = line.places[line.x.indexOf(this.plot.data[0][index])];
    if (!line.source || place === undefined) return; // the mean of a group belongs to no event
    const { steps, times, values, labels } = line.source;
    this.host.onPoint(this.tooltip.hidden ? this.area : this.tooltip, { uid: line.uid, metric: this.metric, step: labels?.[place] ?? steps[place], time: times[place], value: values[place] });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.plot || !this.data || event.target !== this.area) return;
    const { min, max } = this.plot.scales.x;
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
    if (move) this.#moveCursor(move);
    else if (event.key === "+" || event.key === "=") this.host.onZoom([min + (max - min) / 4, max - (max - min) / 4]);
    else if (event.key === "-") this.host.onZoom(null);
    else if (event.key === "Escape") this.plot.setCursor({ left: -10, top: -10 });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} by */
  #moveCursor(by) {
    const x = this.plot.data[0];
    const now = this.plot.cursor.left >= 0 ? (this.plot.cursor.idx ?? 0) : by > 0 ? -1 : x.length;
    const step = Math.abs(by) > 1e6 ? by : by * Math.max(1, Math.round(x.length / 100));
    const next = Math.max(0, Math.min(x.length - 1, now + step));
    this.plot.setCursor({ left: this.plot.valToPos(x[next], "x"), top: 10 });
    const said = [...this.valuesAtCursor()].slice(0, 5).map(([uid, value]) => `${this.host.nameOf(uid)} ${number(value)}`);
    announce(`${this.xText(x[next])}: ${said.join(", ")}`);
  }

  #notes() {
    const data = /** @type {Joined} */ (this.data);
    const marks = data.lines.flatMap((line) => line.marks);
    const nans = marks.filter((mark) => mark.kind === "nan").length;
    const sampled = this.series.filter((one) => !one.exact);
    const said = [];
    if (this.host.groupOf) said.push(this.plot === null ? "mean" : this.options.band === "range" ? "mean, band from min to max" : "mean ± standard deviation");
    if (nans) said.push(`NaN at ${plural(nans, "point")} (×)`);
    if (marks.length > nans) said.push(`infinite at ${plural(marks.length - nans, "point")} (▲▼)`);
    if (data.texts) said.push(this.plot ? `${plural(data.texts, "point")} without a number` : data.texts > this.series.length ? `the last of ${plural(data.texts, "text")}` : "");
    if (!data.names && this.options.x === "step" && this.plot && this.series.some((one) => one.labels)) said.push("steps that are texts are in their order");
    if (data.hidden) said.push(`${plural(data.hidden, "point")} not above 0 left out`);
    if (sampled.length) said.push(`extremes of ${plural(sampled.reduce((sum, one) => sum + one.length, 0), "point")}`);
    if (data.weight > 0 && this.plot) said.push(`smoothed by ${data.weight.toFixed(2)}`);
    if (this.series.length === 0) said.push("no points");
    this.note.textContent = said.filter(Boolean).join(" · ");
  }

  /** Tell why there are no points. @param {string} message */
  fail(message) {
    if (this.series.length === 0) replace(this.area);
    this.note.textContent = message;
  }

  close() {
    this.resizes.disconnect();
    this.own = [null, null];
    this.plot?.destroy();
    this.plot = null;
  }
}
