/** Values without steps as bars, and texts as what they are. */

import { h } from "./dom.js";
import { lookOf } from "./colors.js";
import { number, text } from "./format.js";

/** @typedef {import("./api.js").Series} Series */

/**
 * Return whether there is no curve to draw.
 * @param {Series[]} series
 * @param {import("./lines.js").XKind} x
 */
export function areResults(series, x) {
  if (series.length === 0) return false;
  return (x === "step" && series.every((one) => one.length === 1)) || series.every((one) => one.texts?.every((written) => written !== null));
}

/**
 * List the last value of each trial; of a group, the mean.
 * @param {string} metric
 * @param {Series[]} series
 * @param {import("./chart.js").ChartHost} host
 */
export function results(metric, series, host) {
  /** @type {Map<string, {numbers: number[], texts: Set<string>}>} */
  const found = new Map();
  for (const { trial, values, texts } of series) {
    if (values.length === 0) continue;
    const uid = host.groupOf?.get(trial) ?? trial;
    const known = found.get(uid) ?? { numbers: [], texts: new Set() };
    found.set(uid, known);
    const written = texts?.at(-1) ?? null;
    if (written === null) known.numbers.push(values[values.length - 1]);
    else known.texts.add(written);
  }
  const rows = [...found].map(([uid, { numbers, texts }]) => {
    const mean = numbers.length ? numbers.reduce((sum, value) => sum + value, 0) / numbers.length : NaN;
    return { uid, value: mean, written: numbers.length ? number(mean, 4, true) : text([...texts].join(", "), 100) };
  });
  const finite = rows.map(({ value }) => value).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
  const share = (/** @type {number} */ value) => (high > low ? (value / 2 - low / 2) / (high / 2 - low / 2) : 0) * 100;
  return h("ul", { class: "results", "aria-label": text(metric, 100) }, rows.map(({ uid, value, written }) => {
    const [from, to] = [share(Math.min(0, value)), share(Math.max(0, value))];
    const bar = h("i", { class: "result-bar", style: { left: `${from}%`, width: `${Math.max(0.5, to - from)}%`, background: lookOf(uid).color } });
    return h("li", null, h("span", { class: "clip", dir: "auto", title: host.nameOf(uid) }, host.labelOf(uid)), h("span", { class: "result-room", "aria-hidden": "true" }, Number.isFinite(value) ? bar : null), h("b", { class: "clip", title: written, dir: "auto" }, written));
  }));
}
