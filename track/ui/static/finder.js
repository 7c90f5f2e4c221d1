/** The trials beside the charts that are not drawn, and the field that finds trials there. */

import { getJson, Latest } from "./api.js";
import { statusDot } from "./columns.js";
import { h, replace, throttle } from "./dom.js";
import { count, plural, text } from "./format.js";
import { labelsOf } from "./labels.js";
import { messageOf } from "./states.js";
import { filters } from "./table.js";

/** @typedef {import("./api.js").Row} Row */

const MOST_LISTED = 100;
/** The most trials that are drawn together. */
export const MOST_LINES = 60;
const CONDITION = /[=<>~]|^!/;

export class Finder {
  /**
   * @param {import("./app.js").App} app
   * @param {() => void} onFound called when the answer is there
   */
  constructor(app, onFound) {
    this.app = app;
    this.onFound = onFound;
    const find = throttle(200, (/** @type {string} */ value) => app.state.set({ find: value.trim() || null }, { replace: true }));
    this.input = h("input", { type: "search", class: "input", placeholder: "Find trials", "aria-label": "Find trials by name or condition", title: "A part of the name, or a condition such as parameters.lr=0.1", value: app.state.get("find"), oninput: (/** @type {any} */ event) => find(event.target.value) });
    this.error = h("p", { class: "search-error", role: "alert", hidden: true });
    this.head = h("div", { class: "legend-head" });
    this.list = h("ul", { class: "legend", "aria-label": "Other trials" });
    this.rest = h("p", { class: "hint legend-rest" });
    this.others = h("div", { class: "legend-others", hidden: true }, this.head, this.list, this.rest);
    /** @type {Row[]} */
    this.drawn = [];
    /** @type {Row[]} */
    this.rows = [];
    this.more = 0;
    /** @type {Set<string> | null} The drawn trials that match, null if nothing is searched. */
    this.matching = null;
    /** @type {Latest<{rows: Row[], total: number, matching: Set<string> | null}>} */
    this.asking = new Latest();
    this.load = throttle(500, () => this.#load());
  }

  /** @param {Row[]} drawn */
  show(drawn) {
    this.drawn = drawn;
    this.load();
  }

  async #load() {
    const { state } = this.app;
    const wanted = state.get("find");
    if (this.input !== document.activeElement) this.input.value = wanted;
    const drawn = this.drawn.map((row) => row.uid);
    const conditions = wanted === "" ? [] : [CONDITION.test(wanted) ? wanted : `name~(?i)${wanted.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}`];
    try {
      const answer = await this.asking.ask(async (signal) => {
        const query = { ...filters(state), where: [...state.all("where"), ...conditions], sort: "changed", descending: "1", limit: MOST_LISTED + drawn.length };
        const [all, some] = await Promise.all([
          getJson("trials", query, signal),
          conditions.length && drawn.length ? getJson("trials", { where: [`uid=${drawn.join(",")}`, ...conditions], at: state.at, limit: MOST_LINES }, signal) : null,
        ]);
        const matching = conditions.length ? new Set((some?.rows ?? []).map((/** @type {Row} */ row) => row.uid)) : null;
        return { rows: all.rows, total: all.total, matching };
      });
      if (!answer) return;
      this.error.hidden = true;
      this.matching = answer.matching;
      const isDrawn = new Set(drawn);
      this.rows = answer.rows.filter((row) => !isDrawn.has(row.uid)).slice(0, MOST_LISTED);
      this.more = answer.total - answer.rows.filter((row) => isDrawn.has(row.uid)).length - this.rows.length;
    } catch (error) {
      this.error.textContent = messageOf(error);
      this.error.hidden = false;
    }
    this.onFound();
  }

  draw() {
    const { state } = this.app;
    const matching = this.drawn.filter((row) => this.matching?.has(row.uid));
    const found = [...matching, ...this.rows].slice(0, MOST_LINES).map((row) => row.uid);
    this.others.hidden = this.rows.length === 0 && this.matching === null;
    replace(
      this.head,
      h("strong", null, this.matching === null ? "Other trials" : this.rows.length ? "Also found" : matching.length ? "No others found" : "Nothing found"),
      this.matching !== null && found.length ? h("button", { type: "button", class: "button small quiet", "data-key": "only", onclick: () => state.set({ select: found, hide: null }) }, `Draw only ${found.length === 1 ? "this one" : `these ${found.length}`}`) : null,
    );
    const labels = labelsOf(this.rows);
    replace(this.list, this.rows.map((row) => this.#item(row, labels.get(row.uid) ?? row.uid)));
    this.rest.textContent = this.more > 0 ? `${count(this.more)} more. Find them by their names.` : "";
  }

  /** @param {Row} row @param {string} name */
  #item(row, name) {
    const { state } = this.app;
    const draw = () => state.set({ select: [...this.drawn.map((one) => one.uid), row.uid] });
    return h(
      "li",
      { class: "legend-item is-other" },
      h("button", { type: "button", class: "legend-swatch", "data-key": row.uid, "aria-pressed": "false", "aria-label": `Show ${name}`, title: this.drawn.length < MOST_LINES ? "Show" : `Up to ${plural(MOST_LINES, "trial")} are drawn together`, disabled: this.drawn.length >= MOST_LINES, onclick: draw }, h("i", { class: "swatch", "aria-hidden": "true" })),
      h("a", { class: "clip", href: state.href("trial", row.uid), title: `${name}\n${text(row.name ?? "", 1000)}\n${row.uid}`, dir: "auto" }, name),
      statusDot(row),
    );
  }

  close() {
    this.asking.cancel();
  }
}
