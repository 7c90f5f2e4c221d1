/** Names and values as a table: parameters, tags, metadata. */

import { h, icon } from "./dom.js";
import { count, text, title } from "./format.js";

/** @typedef {{path: string, name: string, value: any}} Leaf */

const MOST = 1000;
const DEEPEST = 12;
const PLAIN = /^[\w/-]+$/;

/**
 * Return the leaves of a nested value, each with its path.
 * @param {any} value
 * @returns {Leaf[]}
 */
export function flat(value) {
  /** @type {Leaf[]} */
  const found = [];
  collect(value ?? {}, "", "", 0, found);
  return found;
}

/** @param {any} value @param {string} path @param {string} name @param {number} depth @param {Leaf[]} found */
function collect(value, path, name, depth, found) {
  const isNested = value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;
  if (!isNested || depth === DEEPEST) {
    if (path) found.push({ path, name, value });
    return;
  }
  for (const [key, one] of Object.entries(value)) {
    const written = PLAIN.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    collect(one, path + written, name ? `${name}.${key}` : key, depth + 1, found);
  }
}

/**
 * Create a table of values. With `who`, each one has a button that shows who set it.
 * @param {Leaf[]} leaves
 * @param {((anchor: Element, path: string) => void) | null} who
 */
export function valueTable(leaves, who) {
  if (leaves.length === 0) return null;
  return h("div", { class: "values" }, [
    h(
      "table",
      { class: "table compact" },
      h("tbody", null, leaves.slice(0, MOST).map(({ path, name, value }) => h(
        "tr",
        null,
        h("th", { scope: "row" }, h("span", { class: "clip", title: text(name, 1000), dir: "auto" }, text(name, 200))),
        h("td", { class: "value", title: title(value), dir: "auto" }, value === "" ? h("span", { class: "soft" }, "empty") : text(value, 600) || h("span", { class: "soft" }, "none")),
        who ? h("td", { class: "who" }, h("button", { type: "button", class: "icon-button", title: "Who set this?", "aria-label": `Who set ${text(name, 80)}?`, onclick: (/** @type {any} */ event) => who(event.currentTarget, path) }, icon("clock"))) : null,
      ))),
    ),
    leaves.length > MOST ? h("p", { class: "hint" }, `${count(leaves.length - MOST)} more`) : null,
  ]);
}
