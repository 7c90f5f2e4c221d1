/** The frame around every view: the store, the navigation, the connection and the timeline. */

import { h, icon, iconButton, replace, withCode } from "./dom.js";
import { count, plural, text, time } from "./format.js";
import { openDialog } from "./popover.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./state.js").ViewName} ViewName */

/** @type {[ViewName, string][]} */
const TABS = [
  ["trials", "Trials"],
  ["charts", "Charts"],
  ["compare", "Compare"],
  ["history", "History"],
];

const KEYS = [
  ["1 – 4", "Trials, Charts, Compare, History"],
  ["/", "Search"],
  ["↑ ↓", "Move in the table"],
  ["Space", "Choose or release the trial"],
  ["Enter", "Open the trial"],
  ["Esc", "Clear the choice, or close what is open"],
  ["[  ]", "Previous or next mark on the timeline"],
  ["n", "Back to now"],
  ["d", "Light, dark or system colours"],
  ["?", "This help"],
];

const THEMES = /** @type {const} */ (["auto", "light", "dark"]);

export class Frame {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.timeline = new Timeline(app);
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.storeName = h("span", { class: "store-name" });
    this.counts = h("span", { class: "store-counts" });
    this.status = h("span", { class: "live-status", "data-status": "connecting", role: "status" }, h("i", { class: "live-dot", "aria-hidden": "true" }), h("span", null, "Connecting"));
    this.banner = h("div", { class: "banners" });
    this.tabs = new Map(TABS.map(([view, label]) => [view, h("a", { class: "tab" }, label)]));
    this.selection = h("span", { class: "badge", hidden: true });
    this.tabs.get("charts")?.append(this.selection);
    this.theme = iconButton("auto", "", () => this.nextTheme());
    this.root = h(
      "div",
      { class: "frame" },
      h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => this.skip(event) }, "Skip to content"),
      h(
        "header",
        { class: "header" },
        h("a", { class: "brand", href: "#/trials", "aria-label": "Track, all trials" }, mark()),
        h("div", { class: "store" }, this.storeName, this.counts),
        h("nav", { class: "tabs", "aria-label": "Views" }, [...this.tabs.values()]),
        h("div", { class: "header-end" }, this.status, this.theme, iconButton("help", "Keyboard shortcuts", () => showHelp())),
      ),
      this.banner,
      this.main,
      this.timeline.root,
      h("div", { id: "announcer", class: "unseen", "aria-live": "polite" }),
    );
    this.isGone = false;
    /** @type {string | null} */
    this.message = null;
    /** @type {Set<string>} */
    this.dismissed = new Set();
    this.setTheme(stored("track.theme") ?? "auto");
    app.onStore((store) => this.setStore(store));
    this.update(new Set());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {Event} event */
  skip(event) {
    event.preventDefault(); // the URL holds the state of the page
    this.main.focus();
  }

  /** Follow the URL.
   * @param {Set<string>} changed
   */
  update(changed) {
    const { state } = this.app;
    for (const [view, tab] of this.tabs) {
      tab.setAttribute("href", state.href(view));
      const isHere = view === state.view || (view === "trials" && state.view === "trial");
      if (isHere) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    const chosen = state.selected.length;
    this.selection.hidden = chosen === 0;
    this.selection.textContent = String(chosen);
    this.selection.title = `${plural(chosen, "trial")} chosen`;
    if (["at", "view", "uid", "trial"].some((name) => changed.has(name))) this.timeline.update();
    this.showBanners();
  }

  /** @param {import("./api.js").Store} store */
  setStore(store) {
    const name = text(store.name || store.uri);
    this.storeName.textContent = name;
    this.storeName.title = text(store.uri);
    const { trials = 0, running = 0 } = store.counts ?? {};
    this.counts.textContent = `${plural(trials, "trial")}${running ? ` · ${count(running)} running` : ""}`;
    document.title = `${name} – Track`;
    this.showBanners();
  }

  /** @param {string} status */
  setStatus(status) {
    this.isGone = status === "gone";
    this.status.dataset.status = status;
    /** @type {any} */ (this.status.lastChild).textContent = status === "live" ? "Live" : status === "gone" ? "Offline" : "Connecting";
    this.showBanners();
  }

  /** Hide what a saved report lacks: live updates and the past. */
  setSaved() {
    this.status.dataset.status = "saved";
    /** @type {any} */ (this.status.lastChild).textContent = "Saved report";
    this.timeline.root.hidden = true;
    const history = this.tabs.get("history");
    if (history) history.hidden = true;
  }

  /** Show a problem of the server, or remove it.
   * @param {string | null} message
   */
  problem(message) {
    this.message = message;
    this.showBanners();
  }

  /** @param {import("./live.js").Change} change */
  live(change) {
    this.timeline.live(change);
  }

  showBanners() {
    const found = [];
    if (this.isGone) {
      found.push(banner("error", "The server is not responding. The page shows the last known state and reconnects automatically."));
    } else if (this.message) found.push(banner("error", this.message));
    const at = this.app.state.at;
    if (at !== null && this.app.state.view !== "history") {
      const store = this.app.store();
      const when = store?.at && store.last_at ? ` ${time(store.last_at)}` : "";
      found.push(banner("past", `This is the store as it was${when ? ` at${when}` : ""} (${/^\d+$/.test(at) ? `position ${count(Number(at))}` : text(at)}).`, ["Back to now", () => this.app.state.set({ at: null })]));
    }
    for (const sentence of this.app.store()?.problems ?? []) {
      if (!this.dismissed.has(sentence)) {
        found.push(banner("warning", text(sentence, 1000), ["Dismiss", () => {
          this.dismissed.add(sentence);
          this.showBanners();
        }]));
      }
    }
    replace(this.banner, found);
  }

  nextTheme() {
    const now = THEMES.indexOf(/** @type {any} */ (stored("track.theme") ?? "auto"));
    this.setTheme(THEMES[(now + 1) % THEMES.length]);
  }

  /** @param {string} theme */
  setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    remember("track.theme", theme);
    const label = theme === "auto" ? "Colours: system" : `Colours: ${theme}`;
    this.theme.setAttribute("aria-label", label);
    this.theme.title = label;
    replace(this.theme, icon(theme === "auto" ? "auto" : theme === "dark" ? "moon" : "sun"));
    dispatchEvent(new Event("track:theme"));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = target.closest("input:not([type=range], [type=checkbox]), textarea, select, dialog");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const { state } = this.app;
    const place = ["1", "2", "3", "4"].indexOf(event.key);
    if (place >= 0) state.go(TABS[place][0]);
    else if (event.key === "n") state.set({ at: null });
    else if (event.key === "d") this.nextTheme();
    else if (event.key === "?") showHelp();
    else if (event.key === "[" || event.key === "]") this.timeline.toMark(event.key === "[" ? -1 : 1);
    else if (event.key === "/") {
      const search = /** @type {HTMLElement | null} */ (this.main.querySelector("[data-search]"));
      if (!search) return;
      search.focus();
    } else return;
    event.preventDefault();
  }
}

/**
 * @param {string} kind
 * @param {string} said
 * @param {[string, () => void]} [action]
 */
function banner(kind, said, action) {
  return h(
    "div",
    { class: `banner banner-${kind}`, role: kind === "error" ? "alert" : "status" },
    h("span", null, withCode(said)),
    action ? h("button", { type: "button", class: "button small", onclick: action[1] }, action[0]) : null,
  );
}

function showHelp() {
  openDialog(
    "Keyboard",
    h("table", { class: "keys" }, h("tbody", null, KEYS.map(([key, does]) => h("tr", null, h("td", null, h("kbd", null, key)), h("td", null, does))))),
  );
}

function mark() {
  const image = h("img", { src: "static/icon.svg", alt: "", width: "22", height: "22" });
  return image;
}

/** @param {string} name */
function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // the browser stores nothing for this page
  }
}

/** @param {string} name @param {string} value */
function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // the setting then lasts while the page is open
  }
}
