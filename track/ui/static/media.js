/** The media of a trial: one card per name, with a slider over the steps. */

import { address, News } from "./api.js";
import { h, replace, svg, throttle } from "./dom.js";
import { bytes, count, fullTime, number, plural, text } from "./format.js";

/**
 * @typedef {{name: string, step: any, place: number, position: number, time: number, kind: string,
 *   mime: string, size: number, caption: string | null, facts: Record<string, any>}} Medium
 * @typedef {{root: HTMLElement, moments: Medium[][], at: number, drawn: number}} Card
 */

const MOST_CARDS = 100;
const MOST_ROWS = 200;
const LARGEST = 2 ** 21;
/** The largest text, table or histogram that is drawn, in bytes; larger ones can be opened. */

export class MediaPanel {
  /** @param {import("./app.js").App} app @param {string} uid */
  constructor(app, uid) {
    this.app = app;
    this.uid = uid;
    this.grid = h("div", { class: "media-grid" });
    this.root = h("details", { class: "fact-section", open: true, hidden: true, "data-name": "Media" }, h("summary", null, h("h2", null, "Media")), this.grid);
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {Medium[]} */
    this.media = [];
    /** @type {News<{position: number, media: Medium[]}>} */
    this.news = new News("media", uid);
    this.load = throttle(500, () => this.#load());
  }

  async #load() {
    const { answer, isMore } = await this.news.ask(this.app.state.at);
    if (!answer || (isMore && answer.media.length === 0)) return;
    this.media = isMore ? [...this.media, ...answer.media] : answer.media;
    /** @type {Map<string, Map<number, Medium[]>>} */
    const names = new Map();
    for (const medium of this.media) {
      const moments = names.get(medium.name) ?? new Map();
      names.set(medium.name, moments);
      const together = moments.get(medium.position) ?? [];
      moments.set(medium.position, together);
      together.push(medium);
    }
    this.root.hidden = names.size === 0;
    for (const [name, card] of this.cards) if (!names.has(name)) this.#remove(name, card);
    for (const [name, moments] of [...names].slice(0, MOST_CARDS)) this.#show(name, [...moments.values()]);
  }

  /** @param {string} name @param {Card} card */
  #remove(name, card) {
    card.root.remove();
    this.cards.delete(name);
  }

  /** @param {string} name @param {Medium[][]} moments */
  #show(name, moments) {
    let card = this.cards.get(name);
    if (!card) {
      card = { root: h("figure", { class: "chart medium", "data-medium": text(name) }), moments: [], at: -1, drawn: -1 };
      this.cards.set(name, card);
      this.grid.append(card.root);
    }
    // A card that shows the latest medium keeps showing the latest.
    const isLatest = card.at === card.moments.length - 1;
    card.moments = moments;
    card.at = isLatest ? moments.length - 1 : Math.min(card.at, moments.length - 1);
    this.#draw(name, card);
  }

  /** @param {string} name @param {Card} card */
  #draw(name, card) {
    const media = card.moments[card.at];
    const slider = card.root.querySelector("input");
    const more = card.moments.length > 1 ? `${card.at + 1} of ${count(card.moments.length)}` : "";
    if (slider) slider.max = String(card.moments.length - 1);
    if (card.drawn === media[0].position && (slider || !more)) {
      replace(/** @type {Element} */ (card.root.querySelector(".chart-note")), more);
      return;
    }
    card.drawn = media[0].position;
    const shown = h("div", { class: "medium-body" }, media.map((medium) => this.#element(medium)));
    const said = stepOf(media[0]);
    const caption = h("figcaption", { class: "chart-head" }, h("h3", { class: "clip", title: text(name, 1000), dir: "auto" }, text(name, 100)), h("span", { class: "chart-note" }, more), h("span", { class: "chart-readout", title: fullTime(media[0].time) }, said));
    if (slider) {
      // Keep the slider, because the user may be dragging it.
      slider.value = String(card.at);
      slider.setAttribute("aria-valuetext", said);
      card.root.querySelector("figcaption")?.replaceWith(caption);
      card.root.querySelector(".medium-body")?.replaceWith(shown);
      return;
    }
    const range = card.moments.length > 1 ? h("input", { type: "range", class: "medium-slider", min: "0", max: String(card.moments.length - 1), value: String(card.at), "aria-label": `Step of ${text(name, 100)}`, "aria-valuetext": said, oninput: (/** @type {any} */ event) => {
      card.at = Number(event.target.value);
      this.#draw(name, card);
    } }) : null;
    replace(card.root, caption, shown, range);
  }

  /** @param {Medium} medium */
  #element(medium) {
    const href = addressOf(this.uid, medium);
    const said = medium.caption ? text(medium.caption, 300) : `${text(medium.name, 100)}, ${stepOf(medium)}`;
    const link = h("a", { class: "soft", href, target: "_blank", rel: "noreferrer", title: `${text(medium.mime, 80)}, ${bytes(medium.size)}` }, medium.caption ? text(medium.caption, 300) : "Open");
    return h("div", { class: "medium-item" }, this.#content(medium, href, said), link);
  }

  /** @param {Medium} medium @param {string} href @param {string} said */
  #content(medium, href, said) {
    if (medium.mime.startsWith("image/")) return h("a", { href, target: "_blank", rel: "noreferrer" }, h("img", { src: href, alt: said, loading: "lazy", width: size(medium.facts.width), height: size(medium.facts.height) }));
    if (medium.kind === "audio") return h("audio", { controls: true, preload: "none", src: href, "aria-label": said });
    if (medium.kind === "html") return h("iframe", { src: href, sandbox: "", title: said, loading: "lazy" });
    const draw = /** @type {Record<string, (content: string) => any>} */ ({ text: textOf, table: tableOf, histogram: histogramOf })[medium.kind];
    const room = h("div", { class: "medium-drawn", tabindex: "0", role: "group", "aria-label": said });
    if (!draw || medium.size > LARGEST) replace(room, h("p", { class: "soft" }, `${text(medium.kind, 40)}, ${bytes(medium.size)}`));
    else fetchText(href).then((content) => replace(room, draw(content))).catch(() => replace(room, h("p", { class: "bad" }, "This content cannot be read.")));
    return room;
  }

  close() {
    this.news.cancel();
  }
}

/** Return the address of a content. @param {string} trial @param {Medium} medium */
export function addressOf(trial, { position, name, place }) {
  return address("api/medium", { trial, position, name, place });
}

/** @param {string} href */
async function fetchText(href) {
  const response = await fetch(href);
  if (!response.ok) throw new Error(String(response.status));
  return response.text();
}

/** @param {Medium} medium */
export function stepOf(medium) {
  if (medium.step === null || medium.step === undefined) return "";
  return `step ${typeof medium.step === "number" ? number(medium.step, 9) : text(medium.step, 60)}`;
}

/** @param {any} pixels */
export function size(pixels) {
  return Number.isInteger(pixels) && pixels > 0 ? String(pixels) : null;
}

/** @param {string} content */
function textOf(content) {
  return h("pre", { dir: "auto" }, content);
}

/** @param {string} content */
function tableOf(content) {
  const { columns, rows } = JSON.parse(content);
  const cell = (/** @type {any} */ value) => h("td", { class: typeof value === "number" ? "end" : null }, typeof value === "number" ? number(value) : text(value, 200));
  return [
    h("table", { class: "table compact" }, h("thead", null, h("tr", null, columns.map((/** @type {any} */ name) => h("th", { scope: "col" }, text(name, 100))))), h("tbody", null, rows.slice(0, MOST_ROWS).map((/** @type {any[]} */ row) => h("tr", null, row.map(cell))))),
    rows.length > MOST_ROWS ? h("p", { class: "soft" }, `and ${plural(rows.length - MOST_ROWS, "more row")}`) : null,
  ];
}

/** @param {string} content */
function histogramOf(content) {
  const { edges, counts } = /** @type {{edges: number[], counts: number[]}} */ (JSON.parse(content));
  const most = Math.max(1, ...counts);
  const bars = counts.map((n, i) => svg("rect", { x: i + 0.05, y: 100 - (100 * n) / most, width: 0.9, height: (100 * n) / most }, svg("title", null, `${number(edges[i])} to ${number(edges[i + 1])}: ${count(n)}`)));
  return [
    svg("svg", { class: "histogram", viewBox: `0 0 ${counts.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, bars),
    h("div", { class: "lane-axis soft" }, h("span", null, number(edges[0])), h("span", null, `most: ${count(most)}`), h("span", null, number(edges[edges.length - 1]))),
  ];
}
