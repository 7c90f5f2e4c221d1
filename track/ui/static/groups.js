/** Groups of trials as rows: their number, and mean, spread and extremes of metrics. */

import { getAllRows, Latest } from "./api.js";
import { h, replace } from "./dom.js";
import { columnOf, pathOf } from "./columns.js";
import { count, number, plural, text, toNumber } from "./format.js";
import { differing } from "./labels.js";
import { blank, failed, skeleton } from "./states.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {{uid: string, key: string, label: string, members: Row[]}} Group */

const MOST_ROWS = 5000;
const MOST_GROUPS = 500;
/** Parameters that only distinguish repetitions of one configuration. */
const SEEDS = /(^|[._-])(seed|random_state|rng|rank)([._-]|$)/i;

/**
 * Create the choices of what to group by.
 * @param {import("./app.js").App} app
 * @param {{parameters: {name: string, constant: boolean, distinct?: number}[]} | null} known
 * @param {() => void} done
 */
export function groupMenu(app, known, done) {
  const { state } = app;
  const now = state.get("group");
  const choices = [
    ["", "No grouping"],
    ["config", "Configuration without seeds"],
    ["group", "Group"],
    ["status", "Status"],
    ["name", "Name"],
    ...(known?.parameters ?? []).filter((one) => !one.constant).slice(0, 40).map((one) => [`parameters.${one.name}`, text(one.name, 60)]),
    ...(app.store()?.tags ?? []).slice(0, 20).map((name) => [`tags.${name}`, `tag ${text(name, 60)}`]),
  ];
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", null, "Group by"),
    choices.map(([value, label]) => h("label", { class: "option" }, h("input", { type: "radio", name: "group-by", value, checked: value === now, onchange: () => {
      state.set({ group: value || null });
      done();
    } }), h("span", { class: "clip" }, label))),
  );
}

/**
 * Return the key of the group that a trial belongs to.
 * @param {Row} row
 * @param {string} by
 */
export function keyOf(row, by) {
  if (by === "config") {
    const kept = Object.entries(row.parameters ?? {}).filter(([name]) => !SEEDS.test(name)).sort();
    return JSON.stringify(kept);
  }
  const dot = by.indexOf(".");
  const value = dot < 0 ? /** @type {any} */ (row)[by] : /** @type {any} */ (row)[by.slice(0, dot)]?.[by.slice(dot + 1)];
  return value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Return count, mean, spread and extremes of numbers.
 * @param {number[]} values
 */
export function statistics(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value / n, 0);
  const spread = n > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)) : 0;
  return { n, mean, spread, min: Math.min(...values), max: Math.max(...values) };
}

/**
 * Return the names of parameters that distinguish groups.
 * @param {Row[]} rows
 * @param {string} by
 */
function namesFor(rows, by) {
  return by === "config" ? differing(rows).filter((name) => !SEEDS.test(name)) : [];
}

/**
 * Return groups of trials with their labels and members.
 * @param {Row[]} rows
 * @param {string} by
 * @returns {Group[]}
 */
export function groupsOf(rows, by) {
  /** @type {Map<string, Row[]>} */
  const found = new Map();
  for (const row of rows) {
    const key = keyOf(row, by);
    const members = found.get(key);
    if (members) members.push(row);
    else found.set(key, [row]);
  }
  const names = namesFor(rows, by);
  const configuration = (/** @type {Row} */ row) => names.map((name) => `${name}=${text(row.parameters?.[name], 40)}`).join("  ") || "all equal";
  return [...found].map(([key, members]) => ({ uid: `group:${key}`, key, members, label: by === "config" ? configuration(members[0]) : key || "none" }));
}

export class GroupTable {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.root = h("div", { class: "groups" }, skeleton(8));
    /** @type {Latest<any>} */
    this.asking = new Latest();
  }

  /** @param {string[]} columnIds */
  async show(columnIds) {
    const { state } = this.app;
    const query = { where: state.all("where"), project: state.get("project"), archived: state.get("archived"), at: state.at };
    try {
      const answer = await this.asking.ask((signal) => getAllRows(query, MOST_ROWS, signal));
      if (answer) this.draw(answer, columnIds);
    } catch (error) {
      replace(this.root, failed(error, () => this.show(columnIds)));
    }
  }

  /** @param {{rows: Row[], total: number}} answer @param {string[]} columnIds */
  draw({ rows, total }, columnIds) {
    const by = this.app.state.get("group");
    const all = groupsOf(rows, by);
    if (all.length === 0) {
      replace(this.root, blank("No trial matches"));
      return;
    }
    const columns = columnIds.filter((id) => id.startsWith("metrics.") || /^(min|max):metrics\./.test(id)).map(columnOf).filter((column) => column !== null);
    const sorted = all.sort(({ key: a }, { key: b }) => (toNumber(Number(a)) !== null && !Number.isNaN(Number(a)) && !Number.isNaN(Number(b)) ? Number(a) - Number(b) : a < b ? -1 : 1));
    const label = by === "config" ? "Configuration" : columnOf(by)?.label ?? by;
    const names = namesFor(rows, by);
    replace(
      this.root,
      total > rows.length ? h("p", { class: "hint" }, `Groups of the first ${plural(rows.length, "trial")} of ${count(total)}: search for fewer to see whole groups.`) : null,
      h(
        "table",
        { class: "table" },
        h("caption", { class: "unseen" }, `Trials grouped by ${label}`),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, label), h("th", { scope: "col", class: "end" }, "Trials"), columns.map((column) => h("th", { scope: "col", class: "end" }, column.label)))),
        h("tbody", null, sorted.slice(0, MOST_GROUPS).map((group) => this.row(group, columns, names))),
      ),
      sorted.length > MOST_GROUPS ? h("p", { class: "hint" }, `${count(sorted.length - MOST_GROUPS)} more groups: group by something with fewer values, or search for fewer trials.`) : null,
    );
  }

  /**
   * @param {{key: string, label: string, members: Row[]}} group
   * @param {import("./columns.js").Column[]} columns
   * @param {string[]} names parameters that distinguish configurations
   */
  row({ key, label, members }, columns, names) {
    const { state } = this.app;
    const by = state.get("group");
    const dot = by.indexOf(".");
    const path = dot < 0 ? by : pathOf(by.slice(0, dot), by.slice(dot + 1));
    const conditions = by === "config" ? names.map((name) => condition(pathOf("parameters", name), members[0].parameters?.[name])) : [key === "" ? `!${path}` : `${path}=${key}`];
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, h("a", { href: state.href("trials", null, { group: null, where: [...state.all("where"), ...conditions] }), title: "Show these trials", dir: "auto" }, text(label, 160))),
      h("td", { class: "end" }, h("a", { href: state.href("charts", null, { select: members.slice(0, 50).map((row) => row.uid) }), title: "Show their charts" }, count(members.length))),
      columns.map((column) => {
        const values = members.map((row) => toNumber(column.value?.(row))).filter((value) => value !== null && Number.isFinite(value));
        if (values.length === 0) return h("td", { class: "end" }, h("span", { class: "soft" }, "–"));
        const { n, mean, spread, min, max } = statistics(/** @type {number[]} */ (values));
        return h(
          "td",
          { class: "end", title: `${plural(n, "value")}\nmean ${mean}\nstandard deviation ${spread}\nfrom ${min} to ${max}` },
          h("span", { class: "mean" }, number(mean)),
          n > 1 ? h("span", { class: "spread" }, ` ± ${number(spread, 2)}`) : null,
          n > 1 ? h("span", { class: "range" }, `${number(min, 3)} … ${number(max, 3)}`) : null,
        );
      }),
    );
  }
}

/** @param {string} path @param {any} value */
function condition(path, value) {
  return value === undefined || value === null ? `!${path}` : `${path}=${typeof value === "string" ? value : JSON.stringify(value)}`;
}
