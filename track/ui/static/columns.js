/** The columns of the table of trials: the contents of cells, and the paths to sort by. */

import { h } from "./dom.js";
import { ago, count, duration, fullTime, nameText, now, number, text, time, title, toNumber } from "./format.js";

/** @typedef {import("./api.js").Row} Row */

/**
 * @typedef {{
 *   id: string, label: string, path: string | null, align: "start" | "end",
 *   least: number, most: number,
 *   text: (row: Row) => string, title?: (row: Row) => string,
 *   cell?: (row: Row) => import("./dom.js").Child, value?: (row: Row) => any, isNumeric?: boolean,
 * }} Column
 */

const SECTIONS = ["parameters", "metrics", "tags"];
const MOST_PARAMETERS = 8;
const MOST_METRICS = 6;

/** Names that need no quotes in a path of the query language. */
const PLAIN = /^[\w/-]+$/;

/**
 * Return the path of a name for conditions and for sorting. Parameters are nested, so their names
 * from the server are already quoted paths below the section.
 * @param {string} section
 * @param {string} name
 */
export function pathOf(section, name) {
  if (section === "parameters") return name.startsWith("[") ? section + name : `${section}.${name}`;
  return PLAIN.test(name) ? `${section}.${name}` : `${section}[${JSON.stringify(name)}]`;
}

/** @type {Record<string, Omit<Column, "id">>} */
const FIXED = {
  status: {
    label: "Status", path: "status", align: "start", least: 92, most: 150,
    text: (row) => text(row.status ?? "created"),
    title: (row) => text(row.failure ?? ""),
    cell: (row) => h("span", { class: "status", "data-kind": statusKind(row.status) }, text(row.status ?? "created", 40)),
  },
  created: {
    label: "Age", path: null, align: "end", least: 84, most: 110,
    text: (row) => ago(row.created ?? row.start),
    title: (row) => fullTime(row.created ?? row.start),
    value: (row) => row.created ?? row.start,
  },
  changed: {
    label: "Last event", path: "changed", align: "end", least: 90, most: 120,
    text: (row) => ago(row.changed),
    title: (row) => fullTime(row.changed),
    value: (row) => row.changed,
  },
  start: { label: "Started", path: null, align: "end", least: 90, most: 170, text: (row) => time(row.start), title: (row) => fullTime(row.start), value: (row) => row.start },
  end: { label: "Ended", path: null, align: "end", least: 90, most: 170, text: (row) => time(row.end), title: (row) => fullTime(row.end), value: (row) => row.end },
  runtime: {
    label: "Runtime", path: "runtime", align: "end", least: 84, most: 110,
    text: (row) => duration(runtimeOf(row)),
    title: (row) => (row.runtime === null ? "" : `${row.runtime} s`),
    value: runtimeOf,
  },
  tags: {
    label: "Tags", path: null, align: "start", least: 80, most: 300,
    text: (row) => tagTexts(row).join("     "),
    cell: (row) => tagTexts(row).map((tag) => h("span", { class: "tag" }, tag)),
  },
  project: { label: "Project", path: "project", align: "start", least: 80, most: 200, text: (row) => text(row.project) },
  group: { label: "Group", path: "group", align: "start", least: 80, most: 200, text: (row) => text(row.group) },
  revision: { label: "Revision", path: "revision", align: "end", least: 80, most: 90, text: (row) => String(row.revision ?? 0), value: (row) => row.revision },
  failure: { label: "Failure", path: null, align: "start", least: 120, most: 320, text: (row) => text(row.failure) },
  uid: { label: "Uid", path: "uid", align: "start", least: 100, most: 120, text: (row) => row.uid.slice(0, 12), title: (row) => row.uid },
};

/** @param {Row} row */
export function runtimeOf(row) {
  if (row.runtime !== null && row.runtime !== undefined) return row.runtime;
  return isRunning(row.status) && row.start ? (now() - row.start) / 1000 : null;
}

/** @param {string | null} status */
export function isRunning(status) {
  return status === "running";
}

/** @param {Row} row */
function tagTexts(row) {
  return Object.entries(row.tags ?? {}).map(([name, value]) => (value === true || value === null ? text(name, 60) : `${text(name, 60)}: ${text(value, 60)}`));
}

const KINDS = { running: "running", completed: "good", lost: "lost", interrupted: "bad", exception: "bad", broken: "bad", suspended: "lost" };

/** Return the kind of a status, which determines its colour.
 * @param {string | null} status
 */
export function statusKind(status) {
  return /** @type {Record<string, string>} */ (KINDS)[status ?? ""] ?? "none";
}

/** @param {string | null} status @param {string | null} [failure] */
export function statusBadge(status, failure) {
  return h(
    "span",
    { class: "status", "data-kind": statusKind(status), title: failure ? text(failure) : null },
    h("i", { class: "dot", "aria-hidden": "true" }),
    text(status ?? "created", 40),
  );
}

/** Return a dot for a running trial. @param {Row} row */
export function statusDot(row) {
  return row.status === "running" ? h("i", { class: "dot", "data-kind": "running", title: "running" }) : null;
}

/**
 * Return the column for an id in the URL: `status`, `parameters.lr`, `metrics.loss`,
 * `min:metrics.loss`; null if there is none.
 * @param {string} id
 * @returns {Column | null}
 */
export function columnOf(id) {
  if (Object.hasOwn(FIXED, id)) return { id, ...FIXED[id] };
  const [, aggregate = "last", path] = /^(?:(min|max|count|step):)?(.*)$/s.exec(id) ?? [];
  const dot = path.indexOf(".");
  const section = path.slice(0, dot);
  const name = path.slice(dot + 1);
  if (!SECTIONS.includes(section)) return null;
  if (section === "metrics") return metricColumn(id, name, aggregate);
  return {
    id,
    label: text(name, 60),
    path: pathOf(section, name),
    align: "start",
    least: 64,
    most: 220,
    text: (row) => text(/** @type {any} */ (row)[section]?.[name]),
    title: (row) => title(/** @type {any} */ (row)[section]?.[name]),
    value: (row) => /** @type {any} */ (row)[section]?.[name],
  };
}

/** The server's names for the fields of a curve's summary. @type {Record<string, string>} */
const FIELDS = { min: "minimum", max: "maximum", count: "length", step: "step" };

/** @param {string} id @param {string} name @param {string} aggregate @returns {Column} */
function metricColumn(id, name, aggregate) {
  // What sums up a metric is its last value, unless the script defined another.
  const field = aggregate === "last" ? "value" : aggregate;
  const value = (/** @type {Row} */ row) => /** @type {any} */ (row.metrics?.[name])?.[field];
  return {
    id,
    label: aggregate === "last" ? nameText(name, 60) : `${nameText(name, 60)} ${aggregate}`,
    path: aggregate === "last" ? pathOf("metrics", name) : `${pathOf("curves", name)}.${FIELDS[aggregate]}`,
    align: "end",
    least: 76,
    most: 200,
    text: (row) => (aggregate === "count" ? count(value(row)) : metricText(value(row))),
    title: (row) => metricTitle(name, row.metrics?.[name]),
    value,
  };
}

/** Format a value of a metric; for a statistic, its mean.
 * @param {any} value
 */
export function metricText(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "object" && "mean" in value) return number(value.mean, 4, true);
  return toNumber(value) === null ? text(value) : number(value, 4, true);
}

/** @param {string} name @param {import("./api.js").Summary | undefined} summary */
function metricTitle(name, summary) {
  if (!summary) return "";
  const said = [`${text(name)}`];
  for (const part of /** @type {const} */ (["last", "min", "max"])) {
    if (summary[part] !== null && summary[part] !== undefined) said.push(`${part} ${title(summary[part])}`);
  }
  if (summary.count > 1) said.push(`${count(summary.count)} points`);
  return said.join("\n");
}

/**
 * Return the columns shown by default: those that differ between trials, then metrics.
 * @param {{parameters: {name: string, constant: boolean}[], metrics: string[]} | null} known
 * @param {Iterable<Row>} rows the first rows
 * @returns {string[]}
 */
export function defaultColumns(known, rows) {
  const ids = ["status", "created", "runtime"];
  if ([...rows].some((row) => Object.keys(row.tags ?? {}).length > 0)) ids.push("tags");
  const differing = (known?.parameters ?? []).filter((one) => !one.constant);
  ids.push(...differing.slice(0, MOST_PARAMETERS).map((one) => `parameters.${one.name}`));
  ids.push(...(known?.metrics ?? []).slice(0, MOST_METRICS).map((name) => `metrics.${name}`));
  return ids;
}

/**
 * Return columns with unique labels.
 * @param {Column[]} columns
 */
export function withOwnLabels(columns) {
  const isShared = (/** @type {Column} */ one) => columns.some((other) => other !== one && other.label === one.label);
  return columns.map((one) => (isShared(one) ? { ...one, label: text(one.id, 60) } : one));
}

/** Return the ids of the columns that every trial has. */
export function fixedColumns() {
  return Object.keys(FIXED);
}
