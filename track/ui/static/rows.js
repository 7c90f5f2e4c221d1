/** The rows of a long list, fetched in pages as they become visible. */

import { getJson } from "./api.js";

/** @typedef {import("./api.js").Row} Row */

const PAGE = 100;
const MOST_PAGES = 60;

export class Rows {
  total = 0;
  position = 0;
  isKnown = false;
  /** @type {import("./api.js").Query | null} */
  #query = null;
  /** @type {Map<number, {rows: Row[], isStale: boolean}>} */
  #pages = new Map();
  /** @type {Map<number, AbortController>} */
  #asked = new Map();
  /** @type {Set<number>} Pages that changed while they were fetched. */
  #changed = new Set();
  #onChange;
  #onError;

  /**
   * @param {() => void} onChange called when rows have arrived
   * @param {(error: unknown) => void} onError
   */
  constructor(onChange, onError) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /**
   * Start another query. The rows stay until its result arrives, so nothing flickers.
   * @param {import("./api.js").Query} query
   */
  ask(query) {
    this.#query = query;
    for (const controller of this.#asked.values()) controller.abort();
    this.#asked.clear();
    this.#changed.clear();
    this.invalidate();
  }

  /** Fetch pages again when they become visible next. */
  invalidate() {
    for (const page of this.#pages.values()) page.isStale = true;
    for (const page of this.#asked.keys()) this.#changed.add(page);
  }

  /** Return a row, undefined while it is loading.
   * @param {number} index
   */
  at(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  /** @param {number} first @param {number} last */
  *between(first, last) {
    for (let index = first; index <= last; index += 1) {
      const row = this.at(index);
      if (row) yield row;
    }
  }

  /**
   * Fetch missing or outdated rows between two indices.
   * @param {number} first
   * @param {number} last
   */
  need(first, last) {
    if (this.#query === null) return; // there is no query yet
    const from = Math.floor(Math.max(0, first) / PAGE);
    const to = Math.floor(Math.max(0, last) / PAGE);
    for (let page = from; page <= to; page += 1) {
      const known = this.#pages.get(page);
      if ((!known || known.isStale) && !this.#asked.has(page)) this.#fetch(page);
    }
    for (const [page, controller] of this.#asked) {
      if (page < from - 1 || page > to + 1) {
        controller.abort(); // the user scrolled past it
        this.#asked.delete(page);
      }
    }
  }

  /** @param {number} page */
  async #fetch(page) {
    const controller = new AbortController();
    this.#asked.set(page, controller);
    this.#changed.delete(page);
    const query = { ...this.#query, offset: page * PAGE, limit: PAGE };
    try {
      const answer = await getJson("trials", query, controller.signal);
      if (controller.signal.aborted) return;
      this.#asked.delete(page);
      this.total = answer.total;
      this.position = answer.position;
      this.isKnown = true;
      this.#pages.delete(page); // move it to the end, as the newest
      this.#pages.set(page, { rows: answer.rows, isStale: this.#changed.has(page) });
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= MOST_PAGES) break;
        this.#pages.delete(old);
      }
      this.#onChange();
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#asked.delete(page);
      this.#onError(error);
    }
  }

  close() {
    for (const controller of this.#asked.values()) controller.abort();
  }
}
