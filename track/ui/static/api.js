/** Requests to the server, which returns JSON for objects and columns of float64 for series. */

import { answerFrom, recorded } from "./recorded.js";

/**
 * @typedef {{uid: string, name: string | null, revision: number, project: string | null,
 *   group: string | null, status: string | null, created: number | null, changed: number | null,
 *   start: number | null, end: number | null, runtime: number | null, tags: Record<string, any>,
 *   parameters: Record<string, any>, metrics: Record<string, Summary>, failure: string | null,
 *   archived?: boolean, part: boolean}} Row
 * @typedef {{value: any, last: any, min: any, max: any, count: number, step: any}} Summary
 * @typedef {{name: string, uri: string, version: string, position: number, first_at: number | null,
 *   last_at: number | null, counts: Record<string, number>, projects: {uid: string, name: string}[],
 *   groups: {uid: string, name: string, project: string}[], writable: boolean, at: any,
 *   problems: string[]}} Store
 * @typedef {{total: number, parameters: {name: string, distinct: number, constant: boolean}[],
 *   metrics: string[], tags: string[]}} Columns the names of the values of some trials
 * @typedef {{trial: string, metric: string, length: number, exact: boolean, min: number, max: number,
 *   labels?: string[], texts?: (string | null)[], steps: Float64Array, times: Float64Array, values: Float64Array}} Series
 * @typedef {{position: number, time: number, kind: string, subject: {kind: string, uid: string},
 *   producer?: string, payload: any}} StoreEvent
 */

/** A failed request, explained in a sentence. */
export class ApiError extends Error {
  /** @param {number} status 0 if the server did not respond @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @typedef {Record<string, string | number | string[] | null | undefined | false>} Query */

/** @param {string} path @param {Query} [query] */
export function address(path, query = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const one of value) params.append(name, one);
    else if (value !== null && value !== undefined && value !== false && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 */
async function request(url, options) {
  let response;
  try {
    response = recorded ? answerFrom(url) : await fetch(url, options);
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    dispatchEvent(new CustomEvent("track:unreachable"));
    throw new ApiError(0, "The server is not responding.");
  }
  if (!response.ok) {
    const said = await response.json().catch(() => null);
    throw new ApiError(response.status, said?.error ?? `The server responded with status ${response.status}.`);
  }
  return response;
}

/** The oldest position of the answers about now: what was logged after it may not be shown yet. */
export let oldest = Infinity;

/**
 * Get JSON.
 * @param {string} path below `/api/`
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function getJson(path, query = {}, signal) {
  return seen(await (await request(address(`api/${path}`, query), { signal })).json(), query);
}

/**
 * Return an answer, and remember its position.
 * @template {{position?: number} | null} T
 * @param {T} answer
 * @param {Query} query
 */
function seen(answer, query) {
  if (!query.at && typeof answer?.position === "number") oldest = Math.min(oldest, answer.position);
  return answer;
}

const MOST_AT_ONCE = 1000;

/**
 * Get the rows of many trials.
 * @param {Query} query
 * @param {number} most the most rows to return
 * @param {AbortSignal} [signal]
 * @returns {Promise<{rows: Row[], total: number}>}
 */
export async function getAllRows(query, most, signal) {
  /** @type {Row[]} */
  const rows = [];
  let total = Infinity;
  while (rows.length < Math.min(total, most)) {
    const answer = await getJson("trials", { ...query, offset: rows.length, limit: MOST_AT_ONCE }, signal);
    rows.push(...answer.rows);
    total = answer.total;
    if (answer.rows.length === 0) break;
  }
  return { rows, total };
}

/**
 * Get series.
 * @param {Query} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{position: number, series: Series[]}>}
 */
export async function getSeries(query, signal) {
  const response = await request(address("api/series", query), { signal });
  return seen(decodeSeries(await response.arrayBuffer()), query);
}

/**
 * Parse a response with series: a length, a JSON header, and columns of float64.
 * @param {ArrayBuffer} buffer
 */
export function decodeSeries(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = 4 + length;
  const column = (/** @type {number} */ n) => {
    const values = new Float64Array(buffer, offset, n);
    offset += 8 * n;
    return values;
  };
  const series = header.series.map((/** @type {any} */ { columns, ...facts }) => ({
    ...facts,
    steps: column(columns.steps),
    times: column(columns.times),
    values: column(columns.values),
  }));
  return { position: header.position, series };
}

/** Request a change. The header proves to the server that the request comes from this page.
 * @param {string} path below `/api/`
 */
export async function post(path) {
  return (await request(`api/${path}`, { method: "POST", headers: { "X-Track": "1" } })).json().catch(() => null);
}

/**
 * Keep only the latest of several requests: earlier ones are aborted.
 * @template T
 */
export class Latest {
  /** @type {AbortController | null} */
  #running = null;
  /** @type {(() => void) | null} What is called once the running request is answered. */
  #next = null;
  #timer = 0;

  /**
   * Return the answer, or undefined if another question came meanwhile.
   * @param {(signal: AbortSignal) => Promise<T>} ask
   * @returns {Promise<T | undefined>}
   */
  async ask(ask) {
    this.cancel();
    const controller = new AbortController();
    this.#running = controller;
    try {
      const answer = await ask(controller.signal);
      return controller.signal.aborted ? undefined : answer;
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    } finally {
      if (this.#running === controller) this.#finished();
    }
  }

  /**
   * Call what asks the same question again, after a running request has been answered. Changes that
   * come faster than answers would otherwise abort each request before it is answered.
   * @param {() => void} call
   */
  renew(call) {
    if (this.#running) this.#next = call;
    else call();
  }

  #finished() {
    const next = this.#next;
    this.#running = this.#next = null;
    if (next) this.#timer = setTimeout(next); // the answer is taken first
  }

  cancel() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = this.#next = null;
  }
}

/**
 * Fetch what is recorded beside a trial and grows, and of it only what is not known yet.
 * @template {{position: number}} T
 */
export class News {
  /** @type {Latest<T>} */
  #asking = new Latest();
  #position = 0;
  /** @type {string | null} The moment of the last answer. */
  #at = null;

  /** @param {string} path @param {string} uid the trial */
  constructor(path, uid) {
    this.path = path;
    this.uid = uid;
  }

  /**
   * Return the answer, undefined without one, and whether it adds to the answers before.
   * @param {string | null} at
   * @returns {Promise<{answer: T | undefined, isMore: boolean}>}
   */
  async ask(at) {
    const after = at === null && this.#at === null ? this.#position : 0;
    const answer = await this.#asking.ask((signal) => getJson(this.path, { trial: this.uid, at, after: after || null }, signal)).catch(() => undefined);
    if (answer) [this.#position, this.#at] = [answer.position, at];
    return { answer, isMore: after > 0 };
  }

  /** @param {() => void} call see {@link Latest.renew} */
  renew(call) {
    this.#asking.renew(call);
  }

  cancel() {
    this.#asking.cancel();
  }
}
