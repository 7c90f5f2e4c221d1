/** The trials that charts draw. */

import { getJson } from "./api.js";
import { MOST_LINES } from "./finder.js";
import { filters } from "./table.js";

/** @typedef {import("./api.js").Row} Row */

const MOST_RECENT = 10;
/** The most metrics per trial in a list of trials. */
const MOST_LISTED = 200;

/**
 * Return the trials to draw, either the chosen ones or the most recently changed, and their metrics.
 * @param {import("./app.js").App} app
 * @param {string[]} chosen
 * @param {AbortSignal} [signal]
 * @returns {Promise<{rows: Row[], metrics: string[], position: number}>}
 */
export async function trialsOf({ state }, chosen, signal) {
  const only = chosen.slice(0, MOST_LINES);
  const where = only.length ? [`uid=${only.join(",")}`] : state.all("where");
  const query = only.length ? { where, at: state.at, limit: MOST_LINES } : { ...filters(state), sort: "changed", descending: "1", limit: MOST_RECENT };
  let answer = await getJson("trials", query, signal);
  if (only.length && answer.rows.length < only.length) {
    const archived = await getJson("trials", { ...query, archived: "1" }, signal);
    answer = { ...answer, rows: [...answer.rows, ...archived.rows] };
  }
  /** @type {Map<string, Row>} */
  const byUid = new Map(answer.rows.map((/** @type {Row} */ row) => [row.uid, row]));
  const rows = only.length ? only.map((uid) => byUid.get(uid)).filter((row) => row !== undefined) : answer.rows;
  const names = new Set(mostShared(rows.map((/** @type {Row} */ row) => Object.keys(row.metrics ?? {}))));
  if (rows.some((/** @type {Row} */ row) => Object.keys(row.metrics ?? {}).length >= MOST_LISTED)) {
    const all = await getJson("columns", { where: [`uid=${rows.map((/** @type {Row} */ row) => row.uid).join(",")}`], at: state.at }, signal);
    for (const name of all.metrics) names.add(name);
  }
  return { rows: /** @type {Row[]} */ (rows), metrics: /** @type {string[]} */ ([...names]), position: answer.position };
}

/**
 * Return the names of metrics, those that most trials have first: they are what is compared.
 * @param {string[][]} lists the names of each trial
 */
function mostShared(lists) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const name of lists.flat()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0));
}
