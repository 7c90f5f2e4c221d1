/**
 * The search box: conditions in the query language of `track ls --where`, each shown as a chip.
 *
 * Names are completed from those in the store. If the server rejects a condition, its message appears
 * below the box and the condition stays for correction.
 */

import { h, icon, replace } from "./dom.js";
import { text } from "./format.js";
import { pathOf } from "./columns.js";

const MOST_SUGGESTED = 12;
const ATTRIBUTES = ["status", "name", "runtime", "uid", "project", "group", "revision", "version", "failure", "description"];
const STATUSES = ["running", "completed", "lost", "interrupted", "exception", "broken", "suspended"];
const OPERATORS = [
  ["=", "is, or one of several"],
  ["!=", "is not"],
  ["<", "less than"],
  [">", "greater than"],
  ["~", "matches a regular expression"],
];
const SPLIT = /^\s*(!?(?:\["(?:[^"\\]|\\.)*"\]|(?!\["(?:[^"\\]|\\.)*"\])[^=!<>~])+?)\s*(==|!=|<=|>=|!~|=|<|>|~)\s*(.*)$/s;

let count = 0;

export class Search {
  /**
   * @param {(where: string[]) => void} onChange
   * @param {() => {names: import("./api.js").Columns | null, rows: Iterable<import("./api.js").Row>}} known
   *   what names and values are completed from
   */
  constructor(onChange, known) {
    this.onChange = onChange;
    this.known = known;
    /** @type {string[]} */
    this.where = [];
    /** @type {{insert: string, label: string, hint: string}[]} */
    this.suggestions = [];
    this.chosen = -1;
    const id = `search-${(count += 1)}`;
    this.chips = h("span", { class: "chips", role: "list" });
    this.input = /** @type {HTMLInputElement} */ (/** @type {unknown} */ (h("input", {
      type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", "data-search": true,
      "aria-label": "Search: a condition such as metrics.loss<0.1", "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list",
    })));
    this.list = h("div", { class: "suggestions", role: "listbox", id, "aria-label": "Completions", hidden: true });
    this.error = h("p", { class: "search-error", role: "alert", hidden: true });
    this.root = h(
      "div",
      { class: "search" },
      h("div", { class: "search-box", onclick: (/** @type {Event} */ event) => event.target === event.currentTarget && this.input.focus() }, icon("search"), this.chips, this.input),
      this.list,
      this.error,
    );
    this.input.addEventListener("input", () => this.suggest());
    this.input.addEventListener("focus", () => this.suggest());
    this.input.addEventListener("blur", () => this.hide()); // a click on a completion leaves the focus in the box
    this.input.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show the conditions of the URL.
   * @param {string[]} where
   */
  set(where) {
    this.where = where;
    replace(
      this.chips,
      where.map((condition, place) =>
        h(
          "span",
          { class: "chip", role: "listitem" },
          h("button", { type: "button", class: "chip-text", title: `${text(condition, 1000)}\nclick to change it`, onclick: () => this.edit(place) }, text(condition, 80)),
          h("button", { type: "button", class: "chip-remove", "aria-label": `Remove ${text(condition, 80)}`, onclick: () => this.remove(place) }, icon("close")),
        ),
      ),
    );
    this.input.placeholder = where.length ? "" : "status=running   metrics.loss<0.1   name~base";
  }

  /** Show what is wrong with a condition.
   * @param {string | null} message
   */
  fail(message) {
    this.error.hidden = message === null;
    this.error.textContent = message ? text(message, 600) : "";
  }

  /** @param {number} place */
  remove(place) {
    this.onChange(this.where.filter((_, i) => i !== place));
    this.input.focus();
  }

  /** @param {number} place */
  edit(place) {
    const condition = this.where[place];
    this.remove(place);
    this.input.value = condition;
    this.suggest();
  }

  commit() {
    const typed = this.input.value.trim();
    if (!typed) return;
    this.input.value = "";
    this.hide();
    this.onChange([...this.where.filter((one) => one !== typed), typed]);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (this.list.hidden) this.suggest();
      this.choose(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      const suggestion = this.suggestions[this.chosen];
      if (!this.list.hidden && suggestion) this.take(suggestion);
      else this.commit();
    } else if (event.key === "Tab" && !this.list.hidden && this.suggestions.length && this.input.value) {
      this.take(this.suggestions[Math.max(0, this.chosen)]);
    } else if (event.key === "Escape") {
      if (this.list.hidden) this.input.blur();
      this.hide();
    } else if (event.key === "Backspace" && this.input.value === "" && this.where.length) {
      this.edit(this.where.length - 1);
    } else return;
    event.preventDefault();
  }

  /** Update completions with names that arrived after typing; a closed list stays closed. */
  renew() {
    const isWaited = this.suggestions.length === 0 && this.input.value !== "";
    if (this.chosen < 0 && (isWaited || !this.list.hidden)) this.suggest();
  }

  suggest() {
    this.suggestions = this.find(this.input.value).slice(0, MOST_SUGGESTED);
    this.chosen = -1;
    const isOpen = this.suggestions.length > 0 && document.activeElement === this.input;
    this.list.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", String(isOpen));
    replace(
      this.list,
      this.suggestions.map((one, i) =>
        h(
          "div",
          { class: "suggestion", role: "option", id: `${this.list.id}-${i}`, "aria-selected": "false", onmousedown: (/** @type {Event} */ event) => {
            event.preventDefault(); // the box keeps the focus
            this.take(one);
          } },
          h("span", { class: "clip" }, text(one.label, 120)),
          h("span", { class: "suggestion-hint" }, one.hint),
        ),
      ),
    );
    this.choose(-1);
  }

  /** @param {string} typed */
  find(typed) {
    const { names: there, rows } = this.known();
    const [, path, operator, value] = SPLIT.exec(typed) ?? [];
    if (operator) return valuesOf(path.replace(/^!/, ""), value, rows).map((found) => ({ insert: `${path}${operator}${found}`, label: found, hint: "" }));
    const wanted = typed.trim().replace(/^!/, "").toLowerCase();
    const names = [
      ...ATTRIBUTES.map((name) => ({ path: name, hint: "" })),
      ...(there?.metrics ?? []).map((name) => ({ path: pathOf("metrics", name), hint: "metric" })),
      ...(there?.parameters ?? []).map(({ name }) => ({ path: pathOf("parameters", name), hint: "parameter" })),
      ...(there?.tags ?? []).map((name) => ({ path: pathOf("tags", name), hint: "tag" })),
    ];
    if (names.some((name) => name.path.toLowerCase() === wanted)) {
      return OPERATORS.map(([sign, hint]) => ({ insert: `${typed.trim()}${sign}`, label: `${typed.trim()}${sign}`, hint }));
    }
    const found = names.filter((name) => name.path.toLowerCase().includes(wanted));
    const begins = (/** @type {{path: string}} */ name) => name.path.toLowerCase().split(/[.[]/).some((part) => part.startsWith(wanted));
    found.sort((a, b) => Number(begins(b)) - Number(begins(a)));
    const completed = found.map((name) => ({ insert: name.path, label: name.path, hint: name.hint }));
    if (wanted && /^[\w -]+$/.test(wanted) && completed.length < MOST_SUGGESTED) {
      completed.push({ insert: `name~${typed.trim()}`, label: `name~${typed.trim()}`, hint: "in the name" });
    }
    return completed;
  }

  /** @param {number} place */
  choose(place) {
    const n = this.suggestions.length;
    this.chosen = n === 0 || place < -1 ? n - 1 : place >= n ? -1 : place;
    for (const [i, element] of [...this.list.children].entries()) element.setAttribute("aria-selected", String(i === this.chosen));
    if (this.chosen >= 0) this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.chosen}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {{insert: string}} suggestion */
  take({ insert }) {
    this.input.value = insert;
    const operator = SPLIT.exec(insert);
    if (operator && operator[3]) this.commit();
    else this.suggest();
  }

  hide() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
  }
}

/**
 * Return the values that trials have at a path and that begin with the typed text.
 * @param {string} path
 * @param {string} typed
 * @param {Iterable<import("./api.js").Row>} rows
 */
function valuesOf(path, typed, rows) {
  const section = path.trim().split(/[.[]/, 1)[0];
  const found = new Set(section === "status" ? STATUSES : []);
  for (const row of rows) {
    const holder = /** @type {any} */ (row)[section];
    const name = section === path.trim() ? null : Object.keys(holder ?? {}).find((one) => pathOf(section, one) === path.trim());
    const value = name === null ? holder : section === "metrics" || name === undefined ? undefined : holder[name];
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") found.add(typeof value === "string" ? value : JSON.stringify(value));
  }
  const last = typed.slice(typed.lastIndexOf(",") + 1).trim().toLowerCase();
  return [...found].filter((value) => value.toLowerCase().startsWith(last) && value.length < 100 && !value.includes(",")).sort();
}
