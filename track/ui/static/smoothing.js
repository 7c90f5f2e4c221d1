/** Smoothing of curves, and when a chart smooths by itself. */

/** The fewest points of a curve that a chart smooths by itself. */
const FEWEST = 100;
/** The share of the height that the noise takes at least, which is about four pixels. */
const VISIBLE = 0.02;
/** The share of the points over which a chart averages by itself. */
const WINDOW = 0.02;

/**
 * Return averages of the points before and after each point, with weights that fall exponentially to
 * both sides, so that a smoothed curve is not later than the one that was logged.
 * @param {(number | null)[]} values
 * @param {number} weight of a neighbour, from 0 to below 1
 */
export function smoothed(values, weight) {
  const before = sums(values, weight);
  const after = sums([...values].reverse(), weight).reverse();
  return values.map((value, i) =>
    value === null ? null : (before[i].sum + after[i].sum - value) / (before[i].weights + after[i].weights - 1),
  );
}

/** Return, for each point, the weighted sum of the values up to it, and that of their weights.
 * @param {(number | null)[]} values
 * @param {number} weight
 */
function sums(values, weight) {
  let [sum, weights] = [0, 0];
  return values.map((value) => {
    if (value !== null) [sum, weights] = [sum * weight + value, weights * weight + 1];
    return { sum, weights };
  });
}

/**
 * Return the weight with which a chart smooths by itself: 0 if its curves are short, or have little
 * noise, since what was logged says more than an average then.
 * @param {import("./lines.js").Line[]} lines
 * @param {boolean} isLog whether the vertical axis is logarithmic
 */
export function weightFor(lines, isLog) {
  const long = lines.map((line) => ({ heights: heights(line, isLog), isExact: line.source?.exact !== false })).filter((curve) => curve.heights.length >= FEWEST);
  let [low, high] = [Infinity, -Infinity];
  for (const { heights } of long) {
    for (const height of heights) {
      if (height < low) low = height;
      if (height > high) high = height;
    }
  }
  const noisy = long.filter((curve) => isRough(curve.heights, (high - low) * VISIBLE) && isRestless(curve.isExact ? curve.heights : middles(curve.heights))).length;
  if (noisy === 0 || noisy * 2 < long.length) return 0;
  return 1 - 1 / (Math.max(...long.map((curve) => curve.heights.length)) * WINDOW);
}

/** @param {import("./lines.js").Line} line @param {boolean} isLog @returns {number[]} */
function heights({ y }, isLog) {
  const values = /** @type {number[]} */ (y.filter((value) => value !== null));
  return isLog ? values.map(Math.log10) : values;
}

/** Return the middle of each two: extremes of neighbours change sides even in a slow oscillation.
 * @param {number[]} heights
 */
function middles(heights) {
  return heights.slice(1).map((height, i) => (height + heights[i]) / 2).filter((_, i) => i % 2 === 0);
}

/** Return how far each point is from the middle of its neighbours. @param {number[]} heights */
function bends(heights) {
  return heights.slice(1, -1).map((height, i) => height - (heights[i] + heights[i + 2]) / 2);
}

/** Return whether most points are far from the middle of their neighbours.
 * @param {number[]} heights
 * @param {number} far
 */
function isRough(heights, far) {
  return bends(heights).filter((bend) => Math.abs(bend) > far).length * 2 > heights.length;
}

/** Return whether most points lie to the other side than the one before, as in no slow oscillation.
 * @param {number[]} heights
 */
function isRestless(heights) {
  const all = bends(heights);
  return all.filter((bend, i) => i > 0 && bend * all[i - 1] < 0).length * 2 > heights.length;
}
