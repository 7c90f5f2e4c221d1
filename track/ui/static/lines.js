/** Conversion of series for uPlot: a shared axis, smoothed lines, and marks for non-finite values. */

import { banded } from "./bands.js";
import { smoothed, weightFor } from "./smoothing.js";

/** @typedef {import("./api.js").Series} Series */
/** @typedef {"step" | "relative" | "wall" | `metric:${string}`} XKind */
/**
 * The line of a trial or a group: the values to read, and further columns with the unsmoothed values
 * or with the upper and lower end of a band. `places` are the indices of points in the series.
 * @typedef {{uid: string, x: Float64Array, y: (number | null)[], behind: (number | null)[][],
 *   marks: {x: number, kind: "nan" | "up" | "down"}[], source: Series | null, places: number[]}} Line
 * The lines of a chart on one axis. `names` are the steps for which its numbers stand, if they are texts.
 * @typedef {{x: number[], columns: (number | null | undefined)[][], lines: Line[], unit: number,
 *   hidden: number, texts: number, names: string[] | null, weight: number}} Joined
 */

/** Between these sizes, values have ticks and finite sums; others are divided by a power of ten. */
const [TINY, HUGE] = [1e-25, 1e30];

/**
 * Return the lines of a chart for the given axes and smoothing, which is null if the chart decides. It
 * leaves groups alone: a mean is smooth, and its band is of what was logged.
 * @param {Series[]} series
 * @param {{x: XKind, isLogX: boolean, isLogY: boolean, smoothing: number | null, band: "range" | "deviation",
 *   groupOf: Map<string, string> | null} & Horizontal} options
 * @returns {Joined}
 */
export function prepare(series, options) {
  const unit = unitOf(Math.max(0, ...series.map((one) => largest(one.values))));
  const names = options.x === "step" ? namesOf(series) : null;
  const placeOf = new Map(names?.map((name, place) => [name, place]));
  let hidden = 0;
  let texts = 0;
  const lines = series.map((one) => {
    const all = names ? Float64Array.from(one.labels ?? [], (label) => placeOf.get(label) ?? NaN) : xOf(one, options);
    const { x, values, places } = ordered(one, all);
    /** @type {Line["marks"]} */
    const marks = [];
    /** @type {(number | null)[]} */
    const y = new Array(values.length);
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i];
      if (Number.isFinite(value)) {
        const isHidden = (options.isLogY && value <= 0) || (options.isLogX && x[i] <= 0);
        hidden += isHidden ? 1 : 0;
        y[i] = isHidden ? null : value / unit;
      } else if (one.texts?.[places[i]] !== undefined && one.texts[places[i]] !== null) {
        texts += 1;
        y[i] = null;
      } else {
        marks.push({ x: x[i], kind: Number.isNaN(value) ? "nan" : value > 0 ? "up" : "down" });
        y[i] = null;
      }
    }
    return /** @type {Line} */ ({ uid: one.trial, x, y, behind: [], marks, source: one, places });
  });
  const weight = options.smoothing ?? (options.groupOf ? 0 : weightFor(lines, options.isLogY));
  const curves = weight > 0 ? lines.map((line) => ({ ...line, y: smoothed(line.y, weight), behind: [line.y] })) : lines;
  const drawn = options.groupOf ? banded(curves, options.groupOf, options.band, options.isLogY) : curves;
  return { ...joined(drawn), lines: drawn, unit, hidden, texts, names, weight };
}

/** Return what to divide values by. @param {number} most the size of the largest */
function unitOf(most) {
  return most === 0 || (most > TINY && most < HUGE) ? 1 : 10 ** Math.floor(Math.log10(most));
}

/**
 * Return the steps of series in the order in which they were logged, if all of them are texts.
 * @param {Series[]} series
 * @returns {string[] | null}
 */
function namesOf(series) {
  if (series.length === 0 || !series.every((one) => one.labels)) return null;
  /** @type {string[]} */
  const names = [];
  for (const { labels } of series) {
    let place = -1;
    for (const label of labels ?? []) {
      const known = names.indexOf(label);
      place = known >= 0 ? known : place + 1;
      if (known < 0) names.splice(place, 0, label);
    }
  }
  return names;
}

/** @param {Float64Array} values */
function largest(values) {
  let most = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > most && size < Infinity) most = size;
  }
  return most;
}

/**
 * The inputs of a horizontal axis: the start of each trial, and the metric used as the axis.
 * @typedef {{starts: Map<string, number>, across: Map<string, Series>}} Horizontal
 */

/**
 * Return the positions of the points of a series on the axis, NaN if unknown.
 * @param {Series} series
 * @param {{x: XKind} & Horizontal} options
 * @returns {Float64Array}
 */
export function xOf(series, { x, starts, across }) {
  if (x === "step") return series.steps;
  if (x.startsWith("metric:")) return atSteps(across.get(series.trial), series.steps);
  if (x === "wall") return series.times.map((time) => time / 1000);
  const start = starts.get(series.trial) ?? series.times[0] ?? 0;
  return series.times.map((time) => (time - start) / 1000);
}

/**
 * Return the values of a series at other steps, interpolated linearly between points.
 * @param {Series | undefined} series
 * @param {Float64Array} wanted
 */
function atSteps(series, wanted) {
  const { steps, values } = series ?? { steps: [], values: [] };
  let next = 0;
  return wanted.map((step) => {
    while (next < steps.length && steps[next] < step) next += 1;
    if (steps[next] === step) return values[next];
    if (next === 0 || next === steps.length) return NaN;
    const share = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
    return values[next - 1] + share * (values[next] - values[next - 1]);
  });
}

/**
 * Sort points by x: those of a continued trial may go back in time.
 * @param {Series} series
 * @param {Float64Array} x
 */
function ordered(series, x) {
  let isOrdered = true;
  for (let i = 1; i < x.length && isOrdered; i += 1) isOrdered = x[i] > x[i - 1];
  const isFinite = x.length === 0 || Number.isFinite(x[0] + x[x.length - 1]);
  if (isOrdered && isFinite) return { x, values: series.values, places: [...x.keys()] };
  const places = [...x.keys()].filter((i) => Number.isFinite(x[i])).sort((a, b) => x[a] - x[b] || a - b);
  const last = places.filter((place, i) => i === places.length - 1 || x[place] !== x[places[i + 1]]);
  return { x: Float64Array.from(last, (i) => x[i]), values: Float64Array.from(last, (i) => series.values[i]), places: last };
}

/**
 * Return one axis and the values of each line on it: undefined where a line has no point, which is
 * connected across, and null where a point cannot be drawn, which leaves a gap.
 * @param {Line[]} lines
 */
function joined(lines) {
  const all = new Float64Array(lines.reduce((sum, line) => sum + line.x.length, 0));
  let length = 0;
  for (const line of lines) {
    all.set(line.x, length);
    length += line.x.length;
  }
  all.sort();
  /** @type {number[]} */
  const x = [];
  for (const value of all) if (value !== x[x.length - 1] && !Number.isNaN(value)) x.push(value);
  const columns = lines.flatMap((line) => {
    const spread = (/** @type {(number | null)[]} */ values) => {
      const column = new Array(x.length);
      let i = 0;
      for (let place = 0; place < x.length && i < values.length; place += 1) {
        if (line.x[i] === x[place]) column[place] = values[(i += 1) - 1];
      }
      return column;
    };
    return [...line.behind, line.y].map(spread);
  });
  return { x, columns };
}

/**
 * Return the index of the value of a column that is closest to another index.
 * @param {(number | null | undefined)[]} column
 * @param {number} place
 * @param {ArrayLike<number>} x
 * @param {number} reach how far away on the axis it may be
 */
export function closest(column, place, x, reach) {
  if (column[place] !== undefined && column[place] !== null) return place;
  const here = x[place];
  let best = null;
  for (let i = place - 1; i >= 0 && here - x[i] <= reach; i -= 1) {
    if (column[i] !== undefined && column[i] !== null) {
      best = i;
      break;
    }
  }
  for (let i = place + 1; i < x.length && x[i] - here <= reach; i += 1) {
    if (column[i] === undefined || column[i] === null) continue;
    if (best === null || x[i] - here < here - x[best]) best = i;
    break;
  }
  return best;
}
