/** The view Charts: one chart per metric, with a line for each selected trial. */

import { getJson, getSeries, Latest } from "./api.js";
import { h, replace, throttle } from "./dom.js";
import { assign } from "./colors.js";
import { Chart } from "./chart.js";
import { MOST_LINES } from "./finder.js";
import { groupsOf } from "./groups.js";
import { Legend } from "./legend.js";
import { plural, text } from "./format.js";
import { differing, labelsOf } from "./labels.js";
import { xOf } from "./lines.js";
import { acrossOf, controls, optionsOf } from "./chartcontrols.js";
import { openPoint } from "./point.js";
import { sections } from "./sections.js";
import { blank, emptyStore, failed } from "./states.js";
import { filters } from "./table.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./api.js").Series} Series */
/**
 * A chart and its data. `stale` holds the trials whose data must be fetched again, `asked` those
 * that are being fetched.
 * @typedef {{chart: Chart, series: Map<string, Series>, across: Map<string, Series>, isSeen: boolean, stale: Set<string>,
 *   asked: Set<string>, asking: Latest<any>}} Card
 */

/** The parameters of the URL that affect how charts are drawn. */
export const DRAWN = ["x", "logx", "logy", "smooth", "zoom", "metrics", "band"];

const MOST_RECENT = 10;
const MOST_CARDS = 24;
/** The number of charts per section before more are requested. */
const MOST_OPEN = 72;
/** The number of charts after which further sections start folded. */
const MOST_LISTED = 200;
/** The most metrics per trial in a list of trials. */
const POINTS = 20_000;
/** The most points of all lines of a chart together. */
const TOO_MUCH = 4000;

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const { state } = app;
  const legend = new Legend(app, (uid) => panel.focus(uid));
  const panel = new ChartPanel(app, {
    onHover: (values) => legend.showValues(values),
    onFocus: (uid) => legend.focus(uid),
  });
  const bar = h("div", { class: "chart-bar" });
  const side = h("aside", { class: "legend-side", "aria-label": "Trials in the charts" }, legend.root);
  replace(root, h("h1", { class: "unseen" }, "Charts"), side, h("div", { class: "charts-main" }, bar, panel.root));
  /** @type {Latest<{rows: Row[], metrics: string[], position: number}>} */
  const asking = new Latest();
  /** @type {{metrics: string[], parameters: string[]}} */
  let names = { metrics: [], parameters: [] };

  /** @param {boolean} [isOther] whether existing curves have to be replaced */
  async function load(isOther = true) {
    const chosen = state.selected;
    try {
      const answer = await asking.ask((signal) => trialsOf(app, chosen, signal));
      if (!answer) return;
      const { rows, metrics, position } = answer;
      assign(rows.map((row) => row.uid));
      if (rows.length === 0) {
        const isEmpty = position === 0 || (app.store()?.counts?.trials ?? 0) === 0;
        replace(panel.root, isEmpty && state.at === null ? emptyStore(app.store()?.uri ?? "") : blank("No trial to draw", "Choose trials in the table or change the search."));
      }
      panel.show(rows, metrics, isOther);
      legend.show(rows, chosen.length > 0, panel.groups);
      names = { metrics, parameters: differing(rows) };
      replace(bar, controls(app, bar, names));
    } catch (error) {
      replace(panel.root, failed(error, () => load()));
    }
  }

  replace(bar, controls(app, null, names));
  load();
  return {
    update(changed) {
      const has = (/** @type {string[]} */ ...names) => names.some((name) => changed.has(name));
      if (has("select", "where", "project", "archived", "at")) load();
      if (has(...DRAWN, "group", "hide")) panel.changed(changed);
      if (has("group")) legend.show(legend.rows, legend.isChosen, panel.groups);
      if (has("hide", "select")) legend.update();
      if (has("find")) legend.finder.load();
      if (has(...DRAWN, "group")) replace(bar, controls(app, bar, names));
    },
    live(change) {
      if (state.at !== null) return;
      const isList = change.trials === null || Object.keys(change.kinds).some((kind) => /Trial|Status/.test(kind));
      panel.live(change);
      if (isList && state.selected.length === 0) load(false);
      else if (isList) legend.finder.load();
    },
    unmount() {
      asking.cancel();
      legend.close();
      panel.close();
    },
  };
}

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
  const names = new Set(rows.flatMap((/** @type {Row} */ row) => Object.keys(row.metrics ?? {})));
  if (rows.some((/** @type {Row} */ row) => Object.keys(row.metrics ?? {}).length >= MOST_LISTED)) {
    const all = await getJson("columns", { where: [`uid=${rows.map((/** @type {Row} */ row) => row.uid).join(",")}`], at: state.at }, signal);
    for (const name of all.metrics) names.add(name);
  }
  return { rows: /** @type {Row[]} */ (rows), metrics: /** @type {string[]} */ ([...names]), position: answer.position };
}

/** The charts, in sections by the prefix of their names. */
export class ChartPanel {
  /**
   * @param {import("./app.js").App} app
   * @param {{onHover?: (values: Map<string, number>) => void, onFocus?: (uid: string | null) => void}} host
   */
  constructor(app, host) {
    this.app = app;
    this.host = host;
    this.root = h("div", { class: "charts" });
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {Map<string, string>} */
    this.labels = new Map();
    /** @type {string[]} */
    this.metrics = [];
    /** @type {{uid: string, key: string, label: string, members: Row[]}[] | null} */
    this.groups = null;
    this.layout = "";
    this.sync = { key: `track-${(ChartPanel.count += 1)}` };
    this.seeing = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "240px" });
    this.onTheme = () => {
      for (const { chart } of this.cards.values()) chart.recolor();
    };
    addEventListener("track:theme", this.onTheme);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    this.refetch = throttle(150, () => this.fetchSeen());
  }

  static count = 0;

  /** @param {string} uid */
  nameOf(uid) {
    return this.labels.get(uid) ?? uid.slice(0, 8);
  }

  get uids() {
    const hidden = new Set(this.app.state.all("hide"));
    return [...this.rows.keys()].filter((uid) => !hidden.has(uid));
  }

  /**
   * Show trials. What was drawn stays until the answers are there.
   * @param {Row[]} rows
   * @param {string[]} metrics
   * @param {boolean} [isOther] whether curves that are there are others now
   */
  show(rows, metrics, isOther = true) {
    this.rows = new Map(rows.map((row) => [row.uid, row]));
    this.metrics = metrics;
    this.#group();
    if (rows.length === 0) {
      this.#forget();
      return;
    }
    this.#layOut();
    for (const card of this.cards.values()) {
      for (const uid of card.series.keys()) if (!this.rows.has(uid)) card.series.delete(uid);
      for (const uid of this.rows.keys()) if (isOther || !card.series.has(uid)) card.stale.add(uid);
    }
    this.fetchSeen();
  }

  /** Set the labels of lines: trials, or groups of trials if the URL asks for them. */
  #group() {
    const rows = [...this.rows.values()];
    const by = this.app.state.view === "charts" ? this.app.state.get("group") : "";
    this.labels = labelsOf(rows);
    this.groups = by === "" ? null : groupsOf(rows, by);
    assign(this.groups?.map((group) => group.uid) ?? []);
    for (const { uid, label } of this.groups ?? []) this.labels.set(uid, text(label, 100));
  }

  #forget() {
    for (const card of this.cards.values()) {
      card.asking.cancel();
      card.chart.close();
    }
    this.cards.clear();
    this.layout = "";
  }

  #layOut() {
    const wanted = this.app.state.get("metrics").toLowerCase();
    const names = this.metrics.filter((name) => name.toLowerCase().includes(wanted));
    const layout = JSON.stringify(names);
    if (layout === this.layout && this.root.querySelector(".chart, .blank")) return;
    this.layout = layout;
    if (names.length === 0) {
      replace(this.root, wanted ? blank("No metric matches", `None of the names of ${plural(this.metrics.length, "metric")} contains ${JSON.stringify(wanted)}.`) : blank("These trials have no metrics yet", "A metric appears here with its first value."));
      return;
    }
    for (const [name, card] of this.cards) {
      if (names.includes(name)) continue;
      this.seeing.unobserve(card.chart.root);
      card.asking.cancel();
      card.chart.close();
      this.cards.delete(name);
    }
    let room = MOST_OPEN;
    replace(this.root, sections(names).map(([prefix, members]) => {
      const isOpen = room > 0;
      room -= Math.min(members.length, MOST_CARDS);
      return this.#section(prefix, members, isOpen);
    }));
  }

  /** Create a section. A folded one creates its charts when it is opened.
   * @param {string} prefix
   * @param {string[]} names
   * @param {boolean} isOpen
   */
  #section(prefix, names, isOpen) {
    const body = h("div", { class: "chart-grid" });
    const add = (/** @type {number} */ from) => {
      for (const name of names.slice(from, from + MOST_CARDS)) body.append(this.#card(name).chart.root);
      const left = names.length - from - MOST_CARDS;
      if (left <= 0) return;
      const more = h("button", { type: "button", class: "button more", onclick: () => {
        more.remove();
        add(from + MOST_CARDS);
      } }, `Show ${Math.min(left, MOST_CARDS)} of ${plural(left, "more chart")}`);
      body.append(more);
    };
    if (isOpen) add(0);
    const open = () => body.firstChild === null && add(0);
    return h("details", { class: "chart-section", open: isOpen, ontoggle: open }, h("summary", null, h("h2", null, prefix === "" ? "Metrics" : text(prefix, 60)), h("span", { class: "soft" }, String(names.length))), body);
  }

  /** @param {string} metric @returns {Card} */
  #card(metric) {
    const known = this.cards.get(metric);
    if (known) return known;
    const chart = new Chart(metric, this.#chartHost(), optionsOf(this.app.state), this.sync);
    const card = { chart, series: new Map(), across: new Map(), isSeen: false, stale: new Set(this.rows.keys()), asked: new Set(), asking: new Latest() };
    this.cards.set(metric, card);
    this.seeing.observe(chart.root);
    return card;
  }

  /** @returns {import("./chart.js").ChartHost} */
  #chartHost() {
    const panel = this;
    return {
      nameOf: (uid) => panel.nameOf(uid),
      get starts() {
        return new Map([...panel.rows.values()].filter((row) => row.start).map((row) => [row.uid, /** @type {number} */ (row.start)]));
      },
      get groupOf() {
        return panel.groups && new Map(panel.groups.flatMap((group) => group.members.map((row) => [row.uid, group.uid])));
      },
      hasKey: this.app.state.view === "charts",
      onZoom: (zoom) => this.app.state.set({ zoom: zoom ? zoom.map((value) => value.toPrecision(9)).join(",") : null }, { replace: this.app.state.get("zoom") !== "" && zoom !== null }),
      onHover: (_, values) => this.host.onHover?.(values),
      onFocus: (uid) => {
        this.focus(uid);
        this.host.onFocus?.(uid);
      },
      onPoint: (anchor, point) => openPoint(this.app, anchor, point, panel.nameOf(point.uid)),
    };
  }

  /** @param {string | null} uid */
  focus(uid) {
    for (const { chart, isSeen } of this.cards.values()) if (isSeen) chart.focus(uid);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    for (const entry of entries) {
      for (const card of this.cards.values()) if (card.chart.root === entry.target) card.isSeen = entry.isIntersecting;
    }
    this.fetchSeen();
  }

  /** Follow the URL. @param {Set<string>} changed */
  changed(changed) {
    if (changed.has("metrics")) {
      this.#layOut();
      // With fewer charts the page is shorter, and the matches may be far above the visible part.
      if (this.root.getBoundingClientRect().top < 0) this.root.scrollIntoView();
    }
    if (changed.has("group")) this.#group();
    const isFiner = changed.has("zoom") || changed.has("x");
    for (const card of this.cards.values()) {
      if (isFiner) card.stale = new Set(this.rows.keys());
      if (card.isSeen) this.#draw(card);
    }
    if (isFiner || changed.has("metrics")) this.refetch();
  }

  /** Fetch changes: for visible charts now, for others when they become visible.
   * @param {import("./live.js").Change} change
   */
  live(change) {
    const touched = change.trials === null ? this.uids : change.trials.filter((uid) => this.rows.has(uid));
    if (touched.length === 0) return;
    for (const [metric, card] of this.cards) {
      for (const uid of touched) card.stale.add(uid);
      // Do not abort running requests: with frequent changes, none would ever complete.
      if (card.isSeen && card.asked.size === 0) this.#fetch(metric, card);
    }
    if (Object.keys(change.kinds).some((kind) => /Metrics/i.test(kind))) this.#newMetrics();
  }

  /** Check whether the trials have new metrics. */
  async #newMetrics() {
    try {
      const { rows, metrics } = await trialsOf(this.app, [...this.rows.keys()]);
      this.rows = new Map(rows.map((row) => [row.uid, row]));
      if (metrics.some((name) => !this.metrics.includes(name))) this.show(rows, metrics, false);
    } catch {
      // the frame reports that the server is gone; the charts stay as they are
    }
  }

  fetchSeen() {
    for (const [metric, card] of this.cards) {
      if (card.isSeen && card.stale.size > 0) this.#fetch(metric, card);
    }
  }

  /** Fetch stale data, including that of an earlier request, which this one replaces.
   * @param {string} metric
   * @param {Card} card
   */
  async #fetch(metric, card) {
    const { state } = this.app;
    const uids = [...new Set([...card.asked, ...card.stale])].filter((uid) => this.rows.has(uid));
    card.asked = new Set(uids);
    card.stale = new Set();
    if (uids.length === 0) return;
    const n = Math.round(Math.max(100, Math.min(1000, POINTS / Math.max(1, this.rows.size))));
    const range = this.#steps(card);
    const x = acrossOf(optionsOf(state).x);
    try {
      const answer = await card.asking.ask((signal) => getSeries({ trial: uids, metric: x === null || x === metric ? [metric] : [metric, x], n: Math.min(n, TOO_MUCH), at: state.at, ...range }, signal));
      if (!answer) return;
      for (const uid of uids) {
        card.series.delete(uid);
        card.across.delete(uid);
      }
      for (const series of answer.series) {
        if (series.metric === metric) card.series.set(series.trial, series);
        if (series.metric === x) card.across.set(series.trial, series);
      }
      card.asked = new Set();
      this.#draw(card);
      if (card.isSeen && card.stale.size > 0) this.#fetch(metric, card);
    } catch (error) {
      card.stale = new Set([...card.asked, ...card.stale]);
      card.asked = new Set();
      card.chart.note.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /** Return the first and last step of the zoomed range, with a margin.
   * @param {Card} card
   */
  #steps(card) {
    const { zoom, x } = optionsOf(this.app.state);
    if (!zoom) return {};
    const room = (zoom[1] - zoom[0]) / 20;
    let [low, high] = [zoom[0] - room, zoom[1] + room];
    if (x !== "step") {
      const horizontal = { x, starts: card.chart.host.starts, across: card.across };
      const steps = [...card.series.values()].flatMap((series) => {
        const places = xOf(series, horizontal);
        const inside = [...places.keys()].filter((i) => places[i] >= low && places[i] <= high);
        return inside.length ? [series.steps[Math.max(0, inside[0] - 1)], series.steps[Math.min(series.steps.length - 1, inside[inside.length - 1] + 1)]] : [];
      });
      if (steps.length === 0) return {};
      [low, high] = [Math.min(...steps), Math.max(...steps)];
    }
    return high - low > 50 ? { first: Math.floor(low), last: Math.ceil(high) } : { first: low, last: high };
  }

  /** @param {Card} card */
  #draw(card) {
    const series = this.uids.map((uid) => card.series.get(uid)).filter((one) => one !== undefined);
    card.chart.show(series, optionsOf(this.app.state), card.across);
  }

  close() {
    this.#forget();
    this.seeing.disconnect();
    removeEventListener("track:theme", this.onTheme);
    this.scheme.removeEventListener("change", this.onTheme);
  }
}
