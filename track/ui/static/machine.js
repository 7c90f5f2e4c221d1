/** The system metrics of a trial: one chart per metric, over time. */

import { getJson, Latest } from "./api.js";
import { Chart } from "./chart.js";
import { h, throttle } from "./dom.js";
import { text } from "./format.js";

/**
 * @typedef {{host: string, pid: number, rank: number | null, each: number, times: number[],
 *   values: Record<string, (number | null)[]>}} Process
 */

const MOST_CHARTS = 60;
const MOST_SAMPLES = 2000;
/** The most samples per process; if there are more, the server merges several into one point. */
const FIRST = ["process", "container", "gpu", "host"];

export class MachinePanel {
  static count = 0;

  /** @param {import("./app.js").App} app @param {string} uid */
  constructor(app, uid) {
    this.app = app;
    this.uid = uid;
    this.note = h("p", { class: "soft panel-note" });
    this.grid = h("div", { class: "chart-grid" });
    this.root = h("details", { class: "fact-section", open: true, hidden: true, "data-name": "Machine" }, h("summary", null, h("h2", null, "Machine")), this.note, this.grid);
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    /** @type {Map<string, string>} */
    this.names = new Map();
    /** @type {Map<string, number>} */
    this.starts = new Map();
    this.sync = { key: `track-machine-${(MachinePanel.count += 1)}` };
    /** @type {Process[]} */
    this.processes = [];
    this.position = 0;
    /** @type {string | null} */
    this.at = null;
    /** @type {Latest<{position: number, processes: Process[]}>} */
    this.asking = new Latest();
    this.load = throttle(1000, () => this.#load());
    this.onTheme = () => {
      for (const chart of this.charts.values()) chart.recolor();
    };
    addEventListener("track:theme", this.onTheme);
  }

  async #load() {
    const { at } = this.app.state;
    const isLong = this.processes.some((one) => one.times.length > MOST_SAMPLES);
    const after = at === null && this.at === null && !isLong ? this.position : 0;
    const answer = await this.asking.ask((signal) => getJson("system", { trial: this.uid, at, after: after || null }, signal)).catch(() => null);
    if (!answer) return;
    if (after && answer.processes.length === 0) return;
    const processes = after ? joined(this.processes, answer.processes) : answer.processes;
    this.processes = processes;
    [this.position, this.at] = [answer.position, at];
    this.root.hidden = processes.length === 0;
    const start = Math.min(...processes.map((one) => one.times[0]));
    /** @type {Map<string, import("./api.js").Series[]>} */
    const series = new Map();
    processes.forEach((process, i) => {
      const id = processes.length === 1 ? this.uid : `${this.uid}#${i}`;
      this.names.set(id, nameOf(process));
      this.starts.set(id, start);
      for (const [measured, values] of Object.entries(process.values)) {
        const [name, unit] = nameAndUnit(measured);
        const lines = series.get(name) ?? [];
        series.set(name, lines);
        lines.push(seriesOf(id, name, process.times, values.map((value) => (value === null ? null : value / unit))));
      }
    });
    const each = Math.max(...processes.map((one) => one.each));
    this.note.textContent = processes.map(nameOf).join(", ") + (each > 1 ? `. Each point is the largest of ${each} samples.` : "");
    const names = [...series.keys()].sort((a, b) => rankOf(a) - rankOf(b) || a.localeCompare(b, "en", { numeric: true })).slice(0, MOST_CHARTS);
    for (const [name, chart] of this.charts) if (!names.includes(name)) this.#remove(name, chart);
    for (const name of names) this.#chart(name).show(series.get(name) ?? []);
  }

  /** @param {string} name @param {Chart} chart */
  #remove(name, chart) {
    chart.close();
    chart.root.remove();
    this.charts.delete(name);
  }

  /** @param {string} name */
  #chart(name) {
    let chart = this.charts.get(name);
    if (!chart) {
      const nameOf = (/** @type {string} */ id) => this.names.get(id) ?? id;
      const host = { nameOf, labelOf: nameOf, starts: this.starts, groupOf: null, onZoom: nothing, onHover: nothing, onFocus: nothing, onPoint: nothing };
      chart = new Chart(name, host, { x: "relative", isLogX: false, isLogY: false, smoothing: 0, band: "range", zoom: null }, this.sync);
      this.charts.set(name, chart);
      this.grid.append(chart.root);
    }
    return chart;
  }

  close() {
    this.asking.cancel();
    removeEventListener("track:theme", this.onTheme);
    for (const chart of this.charts.values()) chart.close();
  }
}

function nothing() {}

/** Append new samples to existing ones.
 * @param {Process[]} known @param {Process[]} more
 */
function joined(known, more) {
  const keyOf = (/** @type {Process} */ { host, pid, rank }) => JSON.stringify([host, pid, rank]);
  const byKey = new Map(known.map((process) => [keyOf(process), process]));
  for (const process of more) {
    const old = byKey.get(keyOf(process)) ?? { ...process, times: [], values: {} };
    const names = new Set([...Object.keys(old.values), ...Object.keys(process.values)]);
    const column = (/** @type {Process} */ one, /** @type {string} */ name) => one.values[name] ?? Array(one.times.length).fill(null);
    const values = Object.fromEntries([...names].map((name) => [name, [...column(old, name), ...column(process, name)]]));
    byKey.set(keyOf(process), { ...old, times: [...old.times, ...process.times], values });
  }
  return [...byKey.values()];
}

/** @param {Process} process */
function nameOf({ host, pid, rank }) {
  return `${text(host, 60)}, process ${pid}${rank === null ? "" : `, rank ${rank}`}`;
}

/** Return the title of a chart and the divisor of its values, since axes in bytes are unreadable.
 * @param {string} measured
 * @returns {[string, number]}
 */
function nameAndUnit(measured) {
  const name = measured.replace(/_bytes(_per_s)?$/, (_, rate) => (rate ? " in MB/s" : " in MB")).replace(/_percent$|\.percent$/, " in %");
  return [name, / in MB/.test(name) ? 1e6 : 1];
}

/** @param {string} name */
function rankOf(name) {
  const place = FIRST.indexOf(name.split(".")[0]);
  return place < 0 ? FIRST.length : place;
}

/** @param {string} trial @param {string} metric @param {number[]} times @param {(number | null)[]} values */
function seriesOf(trial, metric, times, values) {
  const known = times.map((_, i) => i).filter((i) => values[i] !== null);
  const column = (/** @type {(i: number) => number} */ of) => Float64Array.from(known, of);
  const numbers = column((i) => /** @type {number} */ (values[i]));
  return { trial, metric, length: known.length, exact: true, min: Math.min(...numbers), max: Math.max(...numbers), steps: column((i) => i), times: column((i) => times[i]), values: numbers };
}
