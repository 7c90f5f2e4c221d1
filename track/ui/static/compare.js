/** The view Compare: a few trials side by side, or hundreds in one plot. */

import { getJson, Latest } from "./api.js";
import { h, replace } from "./dom.js";
import { assign } from "./colors.js";
import { metricText, statusBadge } from "./columns.js";
import { count, duration, nameText, plural, text, time, title } from "./format.js";
import { swatch } from "./grid.js";
import { labelsOf, shortened } from "./labels.js";
import { ImageTable } from "./images.js";
import { Parallel } from "./parallel.js";
import { recorded } from "./recorded.js";
import { Scatter } from "./scatter.js";
import { blank, failed, skeleton } from "./states.js";
import { filters } from "./table.js";
import { flat } from "./values.js";

/** @typedef {import("./api.js").Row} Row */

const MOST_BESIDE = 8;
const MOST_ROWS = 1000;
const SHAPES = [
  ["side", "Side by side"],
  ["parallel", "Parallel"],
  ["scatter", "Scatter"],
  ...(recorded ? [] : [["images", "Images"]]),
];

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const { state } = app;
  const content = h("div", { class: "compare-content" }, skeleton(12));
  const bar = h("div", { class: "compare-bar" });
  replace(root, h("h1", { class: "unseen" }, "Compare"), bar, content);
  /** @type {Latest<any>} */
  const asking = new Latest();
  /** @type {{close: () => void, update?: () => void, live?: (change: import("./live.js").Change) => void} | null} */
  let picture = null;

  const shape = () => {
    const wanted = state.get("shape");
    return SHAPES.some(([value]) => value === wanted) ? wanted : state.selected.length >= 2 ? "side" : "parallel";
  };

  function showBar() {
    replace(
      bar,
      h("span", { class: "segments", role: "radiogroup", "aria-label": "How to compare" }, SHAPES.map(([value, label]) => h("label", null, h("input", { type: "radio", name: "shape", value, checked: value === shape(), onchange: () => state.set({ shape: value }) }), label))),
      shape() === "side"
        ? h("label", { class: "option" }, h("input", { type: "checkbox", checked: state.get("all") !== "1", onchange: (/** @type {any} */ event) => state.set({ all: event.target.checked ? null : "1" }, { replace: true }) }), "Differences only")
        : shape() === "images" ? null : h("span", { class: "soft compare-count" }),
    );
  }

  async function load() {
    if (shape() === "images") {
      asking.cancel();
      if (!(picture instanceof ImageTable)) {
        picture?.close();
        picture = new ImageTable(app);
        replace(content, picture.root);
      }
      picture.update?.();
      return;
    }
    try {
      const isSide = shape() === "side";
      const found = await asking.ask((signal) => (isSide ? sideBySide(app, signal) : many(app, signal)));
      if (!found) return;
      const at = content.scrollTop;
      picture?.close();
      picture = null;
      if (isSide) replace(content, sideTable(app, found.trials, found.isCut));
      else picture = drawMany(found.rows, found.total);
      content.scrollTop = at;
    } catch (error) {
      replace(content, failed(error, load));
    }
  }

  /** @param {Row[]} rows @param {number} total */
  function drawMany(rows, total) {
    const said = bar.querySelector(".compare-count");
    if (said) said.textContent = total > rows.length ? `the first ${plural(rows.length, "trial")} of ${count(total)}` : plural(rows.length, "trial");
    if (rows.length === 0) {
      replace(content, blank("No trial to compare", "Choose trials in the table or change the search."));
      return null;
    }
    const made = shape() === "parallel" ? new Parallel(app, rows) : new Scatter(app, rows);
    replace(content, made.root);
    made.draw();
    return made;
  }

  showBar();
  load();
  return {
    update(changed) {
      showBar();
      if (["axes", "sx", "sy", "sc", "brush", "image", "rows"].some((name) => changed.has(name)) && picture?.update) picture.update();
      if (["select", "where", "at", "shape", "all", "project", "archived"].some((name) => changed.has(name))) load();
    },
    live(change) {
      if (state.at === null && picture?.live) picture.live(change);
      else if (state.at === null && (change.trials === null || change.trials.length)) load();
    },
    unmount() {
      asking.cancel();
      picture?.close();
    },
  };
}

/** @param {import("./app.js").App} app @param {AbortSignal} signal */
async function sideBySide({ state }, signal) {
  const uids = state.selected.slice(0, MOST_BESIDE);
  assign(uids);
  const trials = await Promise.all(uids.map((uid) => getJson(`trial/${encodeURIComponent(uid)}`, { at: state.at }, signal).catch((error) => {
    if (signal.aborted || error.status !== 404) throw error;
    return null; // it did not exist yet at this moment
  })));
  return { trials: trials.filter(Boolean), isCut: state.selected.length > MOST_BESIDE };
}

/** @param {import("./app.js").App} app @param {AbortSignal} signal */
async function many({ state }, signal) {
  const chosen = state.selected;
  const query = chosen.length >= 2 ? { where: [`uid=${chosen.join(",")}`], at: state.at } : filters(state);
  const { rows, total } = await getJson("trials", { ...query, limit: MOST_ROWS }, signal);
  return { rows, total };
}

/**
 * @param {import("./app.js").App} app
 * @param {any[]} trials
 * @param {boolean} isCut
 */
function sideTable(app, trials, isCut) {
  const { state } = app;
  if (trials.length < 2) {
    return blank("Choose at least two trials", "Trials that you choose in the table appear here side by side.", h("a", { class: "button", href: state.href("trials") }, "Choose trials"));
  }
  const isAll = state.get("all") === "1";
  const labels = shortened(labelsOf(trials));
  const blocks = sidesOf(trials).map(([name, rows]) => ({ name, rows: isAll ? rows : rows.filter((row) => isDifferent(row.values)) })).filter(({ rows }) => rows.length);
  return [
    isCut ? h("p", { class: "hint compare-hint" }, `The first ${MOST_BESIDE} of the chosen trials.`) : null,
    h(
      "div",
      { class: "compare-scroll", tabindex: "0", role: "region", "aria-label": "Trials side by side" },
      h(
        "table",
        { class: "table compare-table" },
        h("thead", null, h("tr", null, h("td", null), trials.map((trial) => h("th", { scope: "col" }, h("span", { class: "compare-name" }, swatch(trial.uid), h("a", { class: "clip", href: state.href("trial", trial.uid), title: text(trial.name ?? trial.uid, 1000), dir: "auto" }, labels.get(trial.uid))))))),
        blocks.map(({ name, rows }) =>
          h(
            "tbody",
            null,
            h("tr", { class: "compare-block" }, h("th", { colspan: trials.length + 1, scope: "rowgroup" }, name)),
            rows.map((row) => h("tr", { class: isDifferent(row.values) ? "is-different" : null }, h("th", { scope: "row" }, h("span", { class: "clip", title: text(row.name, 1000), dir: "auto" }, nameText(row.name, 120))), row.values.map((value, i) => h("td", { class: row.best === i ? "is-best" : null, title: title(value), dir: "auto" }, row.show(value))))),
          ),
        ),
      ),
    ),
    blocks.length === 0 ? h("p", { class: "hint compare-hint" }, "There are no differences.") : null,
  ];
}

/** @typedef {{name: string, values: any[], show: (value: any) => import("./dom.js").Child, best?: number}} SideRow */

/**
 * Return the comparable values in blocks.
 * @param {any[]} trials
 * @returns {[string, SideRow[]][]}
 */
function sidesOf(trials) {
  const plain = (/** @type {any} */ value) => (value === undefined || value === null ? h("span", { class: "soft" }, "–") : text(value, 300));
  const rowsOf = (/** @type {(trial: any) => any} */ pick, /** @type {(value: any) => import("./dom.js").Child} */ show = plain) => {
    const each = trials.map((trial) => new Map(flat(pick(trial)).map((leaf) => [leaf.name, leaf.value])));
    const names = new Set(each.flatMap((values) => [...values.keys()]));
    return [...names].map((name) => ({ name, values: each.map((values) => values.get(name)), show }));
  };
  const metrics = (/** @type {"last" | "min" | "max"} */ part) => {
    const names = new Set(trials.flatMap((trial) => Object.keys(trial.metrics ?? {})));
    return [...names].map((name) => ({ name: part === "last" ? name : `${name}, ${part}`, values: trials.map((trial) => trial.metrics?.[name]?.[part]), show: (/** @type {any} */ value) => (value === undefined || value === null ? plain(value) : metricText(value)) }));
  };
  const last = (/** @type {any} */ trial) => trial.attempts?.at(-1) ?? {};
  const head = [
    { name: "Status", values: trials.map((trial) => trial.status), show: (/** @type {any} */ value) => statusBadge(value) },
    { name: "Started", values: trials.map((trial) => trial.start), show: time },
    { name: "Runtime", values: trials.map((trial) => trial.runtime), show: duration },
    { name: "Project", values: trials.map((trial) => trial.project), show: plain },
    { name: "Group", values: trials.map((trial) => trial.group), show: plain },
  ];
  const code = ["version", "commit", "modified", "command", "directory", "host", "python", "platform", "cpus"].map((name) => ({
    name: name.charAt(0).toUpperCase() + name.slice(1),
    values: trials.map((trial) => {
      const value = name === "version" ? trial.version : last(trial)[name];
      return Array.isArray(value) ? value.join(" ") : value;
    }),
    show: plain,
  })).filter((row) => row.values.some((value) => value !== undefined && value !== null));
  return [
    ["Trial", head],
    ["Metrics, last value", metrics("last")],
    ["Parameters", rowsOf((trial) => trial.document ?? trial.parameters)],
    ["Tags", rowsOf((trial) => trial.tags)],
    ["Metrics, extremes", [...metrics("min"), ...metrics("max")]],
    ["Code and environment", [...code, ...rowsOf((trial) => last(trial).environment)]],
    ["Metadata", rowsOf((trial) => trial.metadata)],
  ];
}

/** @param {any[]} values */
function isDifferent(values) {
  return new Set(values.map((value) => JSON.stringify(value) ?? "")).size > 1;
}
