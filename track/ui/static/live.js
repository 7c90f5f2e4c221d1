/**
 * Changes of the store, live, at most twice a second.
 *
 * Browsers allow six connections per server, so all tabs share one stream: the tab that holds a lock
 * receives it and forwards messages. When that tab closes, the next one gets the lock. Each message
 * names the position it continues from, so a tab that missed one notices and reloads.
 */

import { getJson } from "./api.js";

/**
 * @typedef {{from: number, position: number, trials: string[] | null, kinds: Record<string, number>,
 *   counts?: Record<string, number>}} Change
 */

const RETRY_MS = [500, 1000, 2000, 3000];

export class Live {
  /** @type {"connecting" | "live" | "gone"} */
  status = "connecting";
  position = 0;
  #channel = new BroadcastChannel("track-live");
  /** @type {EventSource | null} */
  #source = null;
  #failures = 0;
  #timer = 0;
  /** @type {(change: Change) => void} */
  #onChange;
  /** @type {(status: string) => void} */
  #onStatus;

  /**
   * @param {(change: Change) => void} onChange
   * @param {(status: string) => void} onStatus
   */
  constructor(onChange, onStatus) {
    this.#onChange = onChange;
    this.#onStatus = onStatus;
    this.#channel.onmessage = ({ data }) => {
      if (data.status) this.#become(data.status);
      else this.#take(data);
    };
    addEventListener("track:unreachable", () => this.#fail());
    addEventListener("pagehide", () => this.#source?.close());
  }

  /** Start after a position that is already known.
   * @param {number} position
   */
  start(position) {
    this.position = position;
    if (!navigator.locks) {
      this.#connect();
      return;
    }
    // Tabs that wait for the lock receive the holder's messages.
    navigator.locks.request("track-live", { ifAvailable: true }, (lock) => {
      if (lock) return this.#lead();
      this.#become("live");
      return navigator.locks.request("track-live", () => this.#lead());
    });
  }

  #lead() {
    this.#connect();
    return new Promise(() => {}); // the lock is released when the tab is closed
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource(`api/live?after=${this.position}`);
    this.#source = source;
    source.onopen = () => {
      this.#failures = 0;
      this.#say("live");
    };
    source.addEventListener("changes", (/** @type {MessageEvent} */ event) => {
      const change = { from: this.position, ...JSON.parse(event.data) };
      this.#channel.postMessage(change);
      this.#take(change);
    });
    source.onerror = () => this.#fail();
  }

  #fail() {
    if (!this.#source) {
      // Another tab has the stream; this tab's own request failed.
      this.#become("gone");
      this.#retry(() => getJson("store").then((store) => this.#caughtUp(store.position)));
      return;
    }
    this.#source.close();
    this.#say("gone");
    this.#retry(() => this.#connect());
  }

  /** @param {() => void | Promise<void>} attempt */
  #retry(attempt) {
    clearTimeout(this.#timer);
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    this.#timer = setTimeout(async () => {
      try {
        await attempt();
      } catch {
        // still unreachable: the request reported it, which schedules the next attempt
      }
    }, wait);
  }

  /** @param {number} position */
  #caughtUp(position) {
    this.#failures = 0;
    this.#become("live");
    this.#take({ from: -1, position, trials: null, kinds: {} });
  }

  /** @param {Change} change */
  #take(change) {
    if (change.position <= this.position && change.trials?.length === 0) return;
    const missed = change.from > this.position || change.from < 0;
    this.position = Math.max(this.position, change.position);
    this.#become("live");
    this.#onChange(missed ? { ...change, trials: null } : change);
  }

  /** @param {"live" | "gone"} status */
  #say(status) {
    this.#channel.postMessage({ status });
    this.#become(status);
  }

  /** @param {"live" | "gone"} status */
  #become(status) {
    if (status === this.status) return;
    this.status = status;
    this.#onStatus(status);
  }
}
