/** Distinct labels for trials that are shown together. */

import { nameOf, text } from "./format.js";

/** @typedef {import("./api.js").Row} Row */

const MOST_PARAMETERS = 3;
/** The most characters of a label that a narrow list has room for. */
const ROOM = 24;
/** The fewest characters that are worth being left out. */
const FEWEST = 8;

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
 * Leave out of long labels what all of them begin or end with, since a narrow list cuts off what
 * tells them apart.
 * @param {Map<string, string>} labels
 * @returns {Map<string, string>}
 */
export function shortened(labels) {
  const all = [...labels.values()];
  if (all.length < 2 || all.every((label) => label.length <= ROOM)) return labels;
  const [first] = all;
  const isShared = (/** @type {number} */ place) => all.every((label) => label.at(place) === first.at(place));
  let [before, after] = [0, 0];
  while (before < first.length && isShared(before)) before += 1;
  while (after < first.length && isShared(-1 - after)) after += 1;
  const least = Math.min(...all.map((label) => label.length));
  before = worth(/^.*[-_/,\s]/su.exec(first.slice(0, before)), least);
  after = worth(/[-_/,\s].*$/su.exec(first.slice(first.length - after)), least - before);
  const middle = (/** @type {string} */ label) => `${before ? "…" : ""}${label.slice(before, label.length - after)}${after ? "…" : ""}`;
  return new Map([...labels].map(([uid, label]) => [uid, middle(label)]));
}

/**
 * Return how many characters to leave out, none if they are few, or if they are all there is.
 * @param {RegExpExecArray | null} shared
 * @param {number} most
 */
function worth(shared, most) {
  const length = shared?.[0].length ?? 0;
  return length >= FEWEST && length < most ? length : 0;
}

/**
 * Return the names of the parameters that differ between the trials.
 * @param {Row[]} rows
 */
export function differing(rows) {
  const names = new Set(rows.flatMap((row) => Object.keys(row.parameters ?? {})));
  return [...names].filter((name) => new Set(rows.map((row) => JSON.stringify(row.parameters?.[name]))).size > 1);
}
