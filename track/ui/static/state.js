/**
 * The state of the page is its URL: `#/view/uid?name=value&…`. A link reproduces the page.
 *
 * Parameters mean the same in all views and are kept when switching between views.
 */

/** @typedef {"trials" | "charts" | "trial" | "compare" | "history"} ViewName */

const VIEWS = ["trials", "charts", "trial", "compare", "history"];

export class State {
  /** @type {ViewName} */
  view = "trials";
  /** @type {string | null} Which trial the view is about. */
  uid = null;
  #params = new URLSearchParams();
  /** @type {Set<(changed: Set<string>) => void>} */
  #listeners = new Set();

  constructor() {
    this.#read();
    addEventListener("hashchange", () => {
      const before = this.#snapshot();
      this.#read();
      this.#tell(before);
    });
  }

  /** @param {string} name @param {string} [otherwise] */
  get(name, otherwise = "") {
    return this.#params.get(name) ?? otherwise;
  }

  /** @param {string} name */
  all(name) {
    return this.#params.getAll(name);
  }

  /** Return the moment to show, null for now. */
  get at() {
    return this.#params.get("at");
  }

  /** Return the uids of the chosen trials. */
  get selected() {
    return this.all("select");
  }

  /**
   * Change parameters: null removes one, a list sets several values.
   * @param {Record<string, string | number | string[] | null>} changes
   * @param {{replace?: boolean}} [how] whether the back button skips the previous state
   */
  set(changes, { replace = false } = {}) {
    const before = this.#snapshot();
    apply(this.#params, changes);
    const url = this.#url(this.view, this.uid, this.#params);
    if (replace) history.replaceState(null, "", url);
    else if (url !== location.hash) history.pushState(null, "", url);
    this.#tell(before);
  }

  /**
   * Return the address of a view, with some parameters changed.
   * @param {ViewName} view
   * @param {string | null} [uid]
   * @param {Record<string, string | number | string[] | null>} [changes]
   */
  href(view, uid = null, changes = {}) {
    const params = new URLSearchParams(this.#params);
    apply(params, changes);
    return this.#url(view, uid, params);
  }

  /**
   * Go to a view.
   * @param {ViewName} view
   * @param {string | null} [uid]
   * @param {Record<string, string | number | string[] | null>} [changes]
   */
  go(view, uid = null, changes = {}) {
    location.hash = this.href(view, uid, changes);
  }

  /** Call a function with the names of changed parameters, including `view` and `uid`.
   * @param {(changed: Set<string>) => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #read() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    const [view, uid] = path.split("/");
    this.view = /** @type {ViewName} */ (VIEWS.includes(view) ? view : "trials");
    this.uid = uid ? decode(uid) : null;
    if (this.view === "trial" && !this.uid) this.view = "trials";
    this.#params = new URLSearchParams(query);
  }

  /** @param {string} view @param {string | null} uid @param {URLSearchParams} params */
  #url(view, uid, params) {
    const query = params.toString();
    return `#/${view}${uid ? `/${encodeURIComponent(uid)}` : ""}${query ? `?${query}` : ""}`;
  }

  #snapshot() {
    return { view: this.view, uid: this.uid, params: new URLSearchParams(this.#params) };
  }

  /** @param {{view: string, uid: string | null, params: URLSearchParams}} before */
  #tell(before) {
    const changed = new Set();
    if (before.view !== this.view) changed.add("view");
    if (before.uid !== this.uid) changed.add("uid");
    for (const name of new Set([...before.params.keys(), ...this.#params.keys()])) {
      if (before.params.getAll(name).join("\n") !== this.all(name).join("\n")) changed.add(name);
    }
    if (changed.size) for (const listener of [...this.#listeners]) listener(changed);
  }
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // the URL was written by hand
  }
}

/**
 * @param {URLSearchParams} params
 * @param {Record<string, string | number | string[] | null>} changes
 */
function apply(params, changes) {
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    if (Array.isArray(value)) for (const one of value) params.append(name, one);
    else if (value !== null && value !== "") params.set(name, String(value));
  }
}
