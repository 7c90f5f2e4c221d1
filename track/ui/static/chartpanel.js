/** The charts of some trials, in sections, with their data. */

import { getSeries, Latest } from "./api.js";
import { Chart } from "./chart.js";
import { acrossOf, optionsOf } from "./chartcontrols.js";
import { trialsOf } from "./chosen.js";
import { channelsOf, GROUPING, linesOf, paintBy } from "./channels.js";
import { assign, paint } from "./colors.js";
import { h, replace, throttle } from "./dom.js";
import { plural, text } from "./format.js";
import { labelsOf, shortened } from "./labels.js";
import { xOf } from "./lines.js";
import { openPoint } from "./point.js";
import { sections } from "./sections.js";
import { blank } from "./states.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./api.js").Series} Series */
/**
 * A chart and its data. If there is a chart for each value of a parameter, `facet` is the key of
 * that value. `stale` holds the trials whose data must be fetched again, `asked` those
 * that are being fetched.
 * @typedef {{metric: string, facet: string | null, chart: Chart, series: Map<string, Series>, across: Map<string, Series>, isSeen: boolean, stale: Set<string>,
 *   asked: Set<string>, asking: Latest<any>}} Card
 * @typedef {{metric: string, facet: string | null}} Cell
 */

/** The parameters of the URL that affect how charts are drawn. */
export const DRAWN = ["x", "logx", "logy", "smooth", "zoom", "metrics", "band"];

/** The number of charts per section before more are requested. */
const MOST_CARDS = 24;
/** The number of charts after which further sections start folded. */
const MOST_OPEN = 72;
/** The most points of all lines of a chart together. */
const POINTS = 20_000;
/** The most points of one line. */
const TOO_MUCH = 4000;

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
    /** @type {Map<string, string>} What of them narrow places show. */
    this.shortLabels = new Map();
    /** @type {string[]} */
    this.metrics = [];
    /** @type {{uid: string, key: string, label: string, members: Row[]}[] | null} */
    this.groups = null;
    /** @type {import("./channels.js").Channels} */
    this.channels = { color: null, dash: null, facet: null };
    this.layout = "";
    /** @type {Latest<any>} */
    this.asking = new Latest();
    this.sync = { key: `track-${(ChartPanel.count += 1)}` };
    this.seeing = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "240px" });
    this.onTheme = () => {
      for (const { chart } of this.cards.values()) chart.recolor();
    };
    addEventListener("track:theme", this.onTheme);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    this.refetch = throttle(150, () => this.fetchSeen(true));
  }

  static count = 0;

  /** @param {string} uid */
  nameOf(uid) {
    return this.labels.get(uid) ?? uid.slice(0, 8);
  }

  /** Return the trials that a chart is about. @param {string | null} facet the key of the value that they have in common */
  membersOf(facet) {
    const uids = [...this.rows.keys()];
    const { values, places } = this.channels.facet ?? { values: [], places: new Map() };
    return facet === null ? uids : uids.filter((uid) => values[places.get(uid)]?.key === facet);
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
      for (const uid of this.membersOf(card.facet)) if (isOther || !(card.series.has(uid) || card.asked.has(uid))) card.stale.add(uid);
    }
    this.fetchSeen(isOther);
  }

  /** Set the labels of lines: trials, or groups of trials if the URL asks for them. */
  #group() {
    const rows = [...this.rows.values()];
    const get = (/** @type {string} */ name) => (this.app.state.view === "charts" ? this.app.state.get(name) : "");
    this.labels = labelsOf(rows);
    this.groups = linesOf(rows, get);
    this.channels = channelsOf(rows, get);
    paintBy(this.channels, this.rows.keys(), this.groups);
    assign(this.groups?.map((group) => group.uid) ?? []);
    this.shortLabels = shortened(this.labels);
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
    const { facet } = this.channels;
    const layout = JSON.stringify([names, facet]);
    if (layout === this.layout && this.root.querySelector(".chart, .blank")) return;
    this.layout = layout;
    if (names.length === 0) {
      replace(this.root, wanted ? blank("No metric matches", `None of the names of ${plural(this.metrics.length, "metric")} contains ${JSON.stringify(wanted)}.`) : blank("These trials have no metrics yet", "A metric appears here with its first value."));
      return;
    }
    /** @type {[string, Cell[]][]} */
    const all = facet ? names.map((name) => [name, facet.values.map(({ key }) => ({ metric: name, facet: key }))]) : sections(names).map(([prefix, members]) => [prefix, members.map((name) => ({ metric: name, facet: null }))]);
    const kept = new Set(all.flatMap(([, cells]) => cells.map(idOf)));
    for (const [id, card] of this.cards) {
      if (kept.has(id)) continue;
      this.seeing.unobserve(card.chart.root);
      card.asking.cancel();
      card.chart.close();
      this.cards.delete(id);
    }
    let room = MOST_OPEN;
    replace(this.root, all.map(([title, cells]) => {
      const isOpen = room > 0;
      room -= Math.min(cells.length, MOST_CARDS);
      return this.#section(title, cells, isOpen);
    }));
  }

  /** Create a section. A folded one creates its charts when it is opened.
   * @param {string} title
   * @param {Cell[]} cells
   * @param {boolean} isOpen
   */
  #section(title, cells, isOpen) {
    const body = h("div", { class: "chart-grid" });
    const add = (/** @type {number} */ from) => {
      for (const cell of cells.slice(from, from + MOST_CARDS)) body.append(this.#card(cell).chart.root);
      const left = cells.length - from - MOST_CARDS;
      if (left <= 0) return;
      const more = h("button", { type: "button", class: "button more", onclick: () => {
        more.remove();
        add(from + MOST_CARDS);
      } }, `Show ${Math.min(left, MOST_CARDS)} of ${plural(left, "more chart")}`);
      body.append(more);
    };
    if (isOpen) add(0);
    const open = () => body.firstChild === null && add(0);
    return h("details", { class: "chart-section", open: isOpen, ontoggle: open }, h("summary", null, h("h2", null, title === "" ? "Metrics" : text(title, 60)), h("span", { class: "soft" }, String(cells.length))), body);
  }

  /** @param {Cell} cell @returns {Card} */
  #card({ metric, facet }) {
    const known = this.cards.get(idOf({ metric, facet }));
    if (known) return known;
    const value = this.channels.facet?.values.find(({ key }) => key === facet);
    const chart = new Chart(metric, this.#chartHost(metric), optionsOf(this.app.state), this.sync, value ? `${this.channels.facet?.label} ${value.label}` : "");
    const card = { metric, facet, chart, series: new Map(), across: new Map(), isSeen: false, stale: new Set(this.membersOf(facet)), asked: new Set(), asking: new Latest() };
    this.cards.set(idOf(card), card);
    this.seeing.observe(chart.root);
    return card;
  }

  /** @param {string} metric @returns {import("./chart.js").ChartHost} */
  #chartHost(metric) {
    const panel = this;
    return {
      nameOf: (uid) => panel.nameOf(uid),
      labelOf: (uid) => panel.shortLabels.get(uid) ?? panel.nameOf(uid),
      get starts() {
        return new Map([...panel.rows.values()].filter((row) => row.start).map((row) => [row.uid, /** @type {number} */ (row.start)]));
      },
      get groupOf() {
        return panel.groups && new Map(panel.groups.flatMap((group) => group.members.map((row) => [row.uid, group.uid])));
      },
      beside: () => (panel.channels.facet ? [...panel.cards.values()].filter((card) => card.metric === metric).map((card) => card.chart) : []),
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
    if (GROUPING.some((name) => changed.has(name))) {
      this.#group();
      this.#layOut();
    }
    const isFiner = changed.has("zoom") || changed.has("x");
    for (const card of this.cards.values()) {
      if (isFiner) card.stale = new Set(this.membersOf(card.facet));
      if (card.isSeen) this.#draw(card);
    }
    if (isFiner || changed.has("metrics")) this.refetch();
  }

  /** Fetch changes: for visible charts now, for others when they become visible.
   * @param {import("./live.js").Change} change
   */
  live(change) {
    const touched = change.trials === null ? this.rows : new Set(change.trials.filter((uid) => this.rows.has(uid)));
    if (touched.size === 0) return;
    for (const card of this.cards.values()) {
      for (const uid of this.membersOf(card.facet)) if (touched.has(uid)) card.stale.add(uid);
      // Do not abort running requests: with frequent changes, none would ever complete.
      if (card.isSeen && card.asked.size === 0 && card.stale.size > 0) this.#fetch(card);
    }
    if (Object.keys(change.kinds).some((kind) => /Metrics/i.test(kind))) this.asking.renew(() => this.#newMetrics());
  }

  /** Check whether the trials have new metrics. */
  async #newMetrics() {
    const before = this.rows;
    try {
      const answer = await this.asking.ask((signal) => trialsOf(this.app, [...before.keys()], signal));
      if (!answer || this.rows !== before) return; // other trials are shown by now
      const { rows, metrics } = answer;
      this.rows = new Map(rows.map((row) => [row.uid, row]));
      if (metrics.some((name) => !this.metrics.includes(name))) this.show(rows, metrics, false);
    } catch {
      // the frame reports that the server is gone; the charts stay as they are
    }
  }

  /** @param {boolean} [isOther] whether what is being fetched is not wanted any more */
  fetchSeen(isOther = false) {
    for (const card of this.cards.values()) {
      if (card.isSeen && card.stale.size > 0 && (isOther || card.asked.size === 0)) this.#fetch(card);
    }
  }

  /** Fetch stale data, including that of an earlier request, which this one replaces.
   * @param {Card} card
   */
  async #fetch(card) {
    const { state } = this.app;
    const { metric } = card;
    const uids = [...new Set([...card.asked, ...card.stale])].filter((uid) => this.rows.has(uid));
    card.asked = new Set(uids);
    card.stale = new Set();
    if (uids.length === 0) return;
    const n = Math.round(Math.max(100, Math.min(1000, POINTS / Math.max(1, this.membersOf(card.facet).length))));
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
      if (card.isSeen && card.stale.size > 0) this.#fetch(card);
    } catch (error) {
      card.stale = new Set([...card.asked, ...card.stale]);
      card.asked = new Set();
      card.chart.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** Return the first and last step of the zoomed range, with a margin.
   * @param {Card} card
   */
  #steps(card) {
    const { zoom, x } = optionsOf(this.app.state);
    // An axis of texts has no numbers to ask for.
    if (!zoom || [...card.series.values()].some((series) => series.labels)) return {};
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
    const hidden = new Set(this.app.state.all("hide"));
    const series = this.membersOf(card.facet).filter((uid) => !hidden.has(uid)).map((uid) => card.series.get(uid)).filter((one) => one !== undefined);
    card.chart.show(series, optionsOf(this.app.state), card.across);
  }

  close() {
    this.asking.cancel();
    this.#forget();
    paint(new Map());
    this.seeing.disconnect();
    removeEventListener("track:theme", this.onTheme);
    this.scheme.removeEventListener("change", this.onTheme);
  }
}

/** @param {Cell} cell */
function idOf({ metric, facet }) {
  return JSON.stringify([metric, facet]);
}
