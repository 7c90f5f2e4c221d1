/** Distinct labels for trials that are shown together. */

import { nameOf, text } from "./format.js";

/** @typedef {import("./api.js").Row} Row */

const MOST_PARAMETERS = 3;

/**
 * Return a label per trial: its name and, if others share it, the parameters that differ.
 * A name that all trials share is left out.
 * @param {Row[]} rows
 * @returns {Map<string, string>}
 */
export function labelsOf(rows) {
  /** @type {Map<string, Row[]>} */
  const byName = new Map();
  for (const row of rows) byName.set(nameOf(row), [...(byName.get(nameOf(row)) ?? []), row]);
  const labels = new Map();
  for (const [name, same] of byName) {
    const different = same.length > 1 ? differing(same).slice(0, MOST_PARAMETERS) : [];
    for (const row of same) {
      const said = different.map((one) => `${text(one.split(".").at(-1), 20)} ${text(row.parameters?.[one] ?? "–", 20)}`).join(", ");
      labels.set(row.uid, said && byName.size === 1 ? said : said ? `${name} · ${said}` : same.length > 1 ? `${name} · ${row.uid.slice(0, 6)}` : name);
    }
  }
  return labels;
}

/**
 * Return the names of the parameters that differ between the trials.
 * @param {Row[]} rows
 */
export function differing(rows) {
  const names = new Set(rows.flatMap((row) => Object.keys(row.parameters ?? {})));
  return [...names].filter((name) => new Set(rows.map((row) => JSON.stringify(row.parameters?.[name]))).size > 1);
}
