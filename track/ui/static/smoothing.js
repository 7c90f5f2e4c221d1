/** Smoothing of curves, and when a chart smooths by itself. */

/** The fewest points of a curve that a chart smooths by itself. */
const FEWEST = 100;
/** The share of the height that the noise takes at least, which is about two pixels. */
const VISIBLE = 0.01;
/** The share of the points over which a chart averages by itself. */
const WINDOW = 0.02;

/**
 * Return exponential moving averages, corrected for the bias towards the first value.
 * @param {(number | null)[]} values
 * @param {number} weight of what was before, from 0 to below 1
 */
export function smoothed(values, weight) {
  let sum = 0;
  let weights = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    weights = weights * weight + (1 - weight);
    return sum / weights;
  });
}

/**
 * Return the weight with which a chart smooths by itself: 0 if its curves are short, or have little
 * noise, since what was logged says more than an average then.
 * @param {import("./lines.js").Line[]} lines
 * @param {boolean} isLog whether the vertical axis is logarithmic
 */
export function weightFor(lines, isLog) {
  const long = lines.map((line) => heights(line, isLog)).filter((curve) => curve.length >= FEWEST);
  let [low, high] = [Infinity, -Infinity];
  for (const curve of long) {
    for (const value of curve) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const noisy = long.filter((curve) => isNoisy(curve, (high - low) * VISIBLE)).length;
  if (noisy === 0 || noisy * 2 < long.length) return 0;
  return 1 - 1 / (Math.max(...long.map((curve) => curve.length)) * WINDOW);
}

/**
 * Return the heights that a curve is judged by. Where the points are the extremes of neighbours, that is
 * the middle of each two, since extremes change sides even in a slow oscillation.
 * @param {import("./lines.js").Line} line
 * @param {boolean} isLog
 * @returns {number[]}
 */
function heights({ y, source }, isLog) {
  const values = /** @type {number[]} */ (y.filter((value) => value !== null)).map((value) => (isLog ? Math.log10(value) : value));
  return source?.exact === false ? values.slice(1).map((value, i) => (value + values[i]) / 2).filter((_, i) => i % 2 === 0) : values;
}

/**
 * Return whether the points of a curve are mostly far from the middle of their neighbours, and to
 * changing sides: an oscillation that is slower stays longer on one side.
 * @param {number[]} curve
 * @param {number} far
 */
function isNoisy(curve, far) {
  let [isFar, changes, before] = [0, 0, 0];
  for (let i = 1; i < curve.length - 1; i += 1) {
    const off = curve[i] - (curve[i - 1] + curve[i + 1]) / 2;
    if (Math.abs(off) > far) isFar += 1;
    if (off * before < 0) changes += 1;
    before = off;
  }
  return isFar * 2 > curve.length && changes * 2 > curve.length;
}
