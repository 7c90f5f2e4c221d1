/** Groups of trials as single lines: their mean with a band around it. */

import { statistics } from "./groups.js";

/** @typedef {import("./lines.js").Line} Line */

/**
 * Return one line per group.
 * @param {Line[]} lines the lines of trials
 * @param {Map<string, string>} groupOf uid of a trial -> uid of its group
 * @param {"range" | "deviation"} kind the kind of band
 * @param {boolean} isLog whether only values above 0 can be drawn
 * @returns {Line[]}
 */
export function banded(lines, groupOf, kind, isLog) {
  /** @type {Map<string, Line[]>} */
  const groups = new Map();
  for (const line of lines) {
    const group = groupOf.get(line.uid) ?? line.uid;
    groups.set(group, [...(groups.get(group) ?? []), line]);
  }
  return [...groups].map(([uid, members]) => {
    const x = Float64Array.from(new Set(members.flatMap((line) => [...line.x]))).sort();
    const columns = members.map((line) => interpolated(line, x));
    /** @type {(number | null)[][]} */
    const [y, high, low] = [[], [], []];
    for (let i = 0; i < x.length; i += 1) {
      const values = columns.map((column) => column[i]).filter((value) => value !== null);
      if (values.length === 0) {
        for (const column of [y, high, low]) column.push(null);
        continue;
      }
      const { mean, spread, min, max } = statistics(/** @type {number[]} */ (values));
      const bottom = kind === "range" ? min : mean - spread;
      y.push(mean);
      high.push(kind === "range" ? max : mean + spread);
      low.push(isLog && bottom <= 0 ? null : bottom);
    }
    return { uid, x, y, behind: [high, low], marks: members.flatMap((line) => line.marks), source: null, places: [] };
  });
}

/**
 * Return the values of a line at each x, interpolated between its points, null outside of them.
 * @param {Line} line
 * @param {Float64Array} x
 */
function interpolated(line, x) {
  let next = 0;
  return Array.from(x, (here) => {
    while (next < line.x.length && line.x[next] < here) next += 1;
    if (line.x[next] === here) return line.y[next];
    const [before, after] = [line.y[next - 1], line.y[next]];
    if (next === 0 || before === null || after === null || after === undefined) return null;
    return before + ((after - before) * (here - line.x[next - 1])) / (line.x[next] - line.x[next - 1]);
  });
}
