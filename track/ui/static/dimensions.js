/** Dimensions by which plots arrange trials: any parameter or metric, numeric or categorical. */

import { text, toNumber } from "./format.js";
import { runtimeOf } from "./columns.js";

/** @typedef {import("./api.js").Row} Row */
/**
 * @typedef {{id: string, label: string, values: (number | null)[], names: string[] | null,
 *   low: number, high: number, isLog: boolean}} Dimension `values` has a number per row, null if it is
 *   missing; `names` holds the texts that the numbers stand for, if the values are texts
 */

const MOST_NAMES = 40;

/**
 * Return the ids of the dimensions that the trials have.
 * @param {Row[]} rows
 */
export function dimensionIds(rows) {
  const parameters = new Set(rows.flatMap((row) => Object.keys(row.parameters ?? {})));
  const metrics = new Set(rows.flatMap((row) => Object.keys(row.metrics ?? {})));
  const differs = (/** @type {string} */ name) => new Set(rows.map((row) => JSON.stringify(row.parameters?.[name]))).size > 1;
  return [
    ...[...parameters].filter(differs).map((name) => `parameters.${name}`),
    ...[...metrics].map((name) => `metrics.${name}`),
    ...[...metrics].flatMap((name) => [`min:metrics.${name}`, `max:metrics.${name}`]),
    "runtime",
    "start",
  ];
}

/**
 * Return a dimension of the trials, null if it has no values to show.
 * @param {Row[]} rows
 * @param {string} id
 * @returns {Dimension | null}
 */
export function dimensionOf(rows, id) {
  const raw = rows.map((row) => rawValue(row, id));
  const numbers = raw.map((value) => toNumber(value));
  const there = raw.filter((value) => value !== undefined && value !== null);
  if (there.length === 0) return null;
  const isNumeric = there.every((value) => toNumber(value) !== null && typeof value !== "boolean");
  /** @type {string[] | null} */
  let names = null;
  let values = numbers;
  if (!isNumeric) {
    names = [...new Set(there.map((value) => text(value, 40)))].sort();
    const all = names;
    if (names.length > MOST_NAMES) return null;
    values = raw.map((value) => (value === undefined || value === null ? null : all.indexOf(text(value, 40))));
  }
  values = values.map((value) => (value !== null && Number.isFinite(value) ? value : null));
  const known = /** @type {number[]} */ (values.filter((value) => value !== null));
  if (known.length === 0) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const isLog = names === null && low > 0 && high / low >= 100;
  return { id, label: labelOf(id), values, names, low, high, isLog };
}

/** Return the label of a dimension. @param {string} id */
export function labelOf(id) {
  const [, part, path] = /^(?:(min|max):)?(.*)$/s.exec(id) ?? [];
  const name = path.replace(/^(parameters|metrics)\./, "");
  return part ? `${text(name, 60)}, ${part}` : text(name.charAt(0).toUpperCase() === name.charAt(0) ? name : name, 60);
}

/** @param {Row} row @param {string} id */
function rawValue(row, id) {
  if (id === "runtime") return runtimeOf(row);
  if (id === "start") return row.start;
  const [, part = "last", path] = /^(?:(min|max):)?(.*)$/s.exec(id) ?? [];
  const dot = path.indexOf(".");
  const name = path.slice(dot + 1);
  if (path.startsWith("metrics.")) {
    const value = /** @type {any} */ (row.metrics?.[name])?.[part];
    return value && typeof value === "object" ? value.mean : value;
  }
  return row.parameters?.[name];
}

/**
 * Return the position of a value between the ends, from 0 to 1.
 * @param {Dimension} dimension
 * @param {number} value
 */
export function shareOf({ low, high, isLog }, value) {
  if (low === high) return 0.5;
  return isLog ? Math.log(value / low) / Math.log(high / low) : (value / 2 - low / 2) / (high / 2 - low / 2);
}

/**
 * Return round numbers between the ends: powers of ten on a logarithmic axis.
 * @param {Dimension} dimension
 * @param {number} n the approximate count
 */
export function roundNumbers({ low, high, isLog }, n) {
  if (isLog) {
    const powers = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.floor(Math.log10(high)); power += 1) powers.push(10 ** power);
    const each = Math.ceil(powers.length / n);
    return powers.filter((_, i) => i % each === 0);
  }
  const rough = high / n - low / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((one) => one * power >= rough) ?? 10) * power;
  if (!(step > 0)) return []; // the ends are too close
  const first = Math.ceil(low / step);
  const more = Math.min(2 * n, Math.floor(high / step) - first);
  // From 2 ** 53 on, the next number may be the same one.
  return [...new Set(Array.from({ length: Math.max(0, more + 1) }, (_, i) => (first + i) * step))];
}

/** The reverse of `shareOf`. @param {Dimension} dimension @param {number} share */
export function valueAt({ low, high, isLog }, share) {
  return isLog ? low * (high / low) ** share : low + (high - low) * share;
}
