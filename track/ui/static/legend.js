/** The trials beside the charts: the line of each and its value at the cursor, and what else could be drawn. */

import { h, iconButton, keepingFocus, replace } from "./dom.js";
import { Finder } from "./finder.js";
import { number, plural, text } from "./format.js";
import { statusDot } from "./columns.js";
import { lookAt } from "./channels.js";
import { drawn } from "./colors.js";
import { swatch, swatchOf } from "./grid.js";
import { labelsOf, shortened } from "./labels.js";

const MOST_VALUES = 24;

export class Legend {
  /**
   * @param {import("./app.js").App} app
   * @param {(uid: string | null) => void} onFocus
   */
  constructor(app, onFocus) {
    this.app = app;
    this.onFocus = onFocus;
    this.head = h("div", { class: "legend-head" });
    this.key = h("div", { class: "legend-keys" });
    this.list = h("ul", { class: "legend", "aria-label": "Legend" });
    this.finder = new Finder(app, () => this.update());
    this.root = h("div", { class: "legend-box" }, this.head, h("div", { class: "legend-find" }, this.finder.input, this.finder.error), this.key, this.list, this.finder.others);
    /** @type {import("./api.js").Row[]} */
    this.rows = [];
    /** @type {Map<string, string>} */
    this.labels = new Map();
    /** @type {Map<string, string>} What of them there is room for. */
    this.shortLabels = new Map();
    this.isChosen = false;
    /** @type {import("./groups.js").Group[] | null} */
    this.groups = null;
    /** @type {Partial<import("./channels.js").Channels>} */
    this.channels = {};
    /** @type {Map<string, {item: HTMLElement, value: HTMLElement}>} */
    this.items = new Map();
    this.onTheme = () => this.update();
    addEventListener("track:theme", this.onTheme);
  }

  /**
   * @param {import("./api.js").Row[]} rows
   * @param {boolean} isChosen whether the user chose them
   * @param {{groups: import("./groups.js").Group[] | null, channels: import("./channels.js").Channels}} how what is drawn
   *   instead of them, and what tells the lines apart
   */
  show(rows, isChosen, { groups, channels }) {
    this.rows = rows;
    this.groups = groups;
    this.channels = channels;
    this.labels = labelsOf(rows);
    this.shortLabels = shortened(this.labels);
    this.isChosen = isChosen;
    this.finder.show(rows);
    this.update();
  }

  update() {
    keepingFocus(this.root, () => this.#draw());
  }

  #draw() {
    const { state } = this.app;
    const hidden = new Set(state.all("hide"));
    const { matching } = this.finder;
    replace(
      this.head,
      h("strong", null, this.isChosen ? plural(this.rows.length, "trial") : this.rows.length ? `Latest ${this.rows.length}` : "No trials"),
      this.isChosen
        ? h("button", { type: "button", class: "button small quiet", onclick: () => state.set({ select: null, hide: null }) }, "Clear")
        : h("a", { class: "button small quiet", href: state.href("trials") }, "Choose"),
    );
    replace(this.key, keyOf("color", "Colour", this.channels.color), keyOf("dash", "Dashes", this.channels.dash));
    this.items.clear();
    const rows = this.rows.filter((row) => matching?.has(row.uid) ?? true);
    replace(this.list, this.groups ? this.groups.map((group) => this.#group(group)) : rows.map((row) => this.#item(row, hidden.has(row.uid))));
    this.finder.draw();
  }

  /** @param {import("./groups.js").Group} group */
  #group({ uid, label, members }) {
    const value = h("span", { class: "legend-value" });
    const item = h(
      "li",
      { class: "legend-item", onmouseenter: () => this.onFocus(uid), onmouseleave: () => this.onFocus(null) },
      h("span", { class: "legend-swatch" }, swatch(uid)),
      h("span", { class: "clip", title: text(label, 1000), dir: "auto" }, text(label, 100)),
      h("span", { class: "soft", title: plural(members.length, "trial") }, `× ${members.length}`),
      value,
    );
    this.items.set(uid, { item, value });
    return item;
  }

  /** @param {import("./api.js").Row} row @param {boolean} isHidden */
  #item(row, isHidden) {
    const { state } = this.app;
    const name = this.labels.get(row.uid) ?? row.uid;
    const value = h("span", { class: "legend-value" });
    const toggle = () => state.set({ hide: isHidden ? state.all("hide").filter((uid) => uid !== row.uid) : [...state.all("hide"), row.uid] }, { replace: true });
    const item = h(
      "li",
      { class: isHidden ? "legend-item is-hidden" : "legend-item", onmouseenter: () => this.onFocus(row.uid), onmouseleave: () => this.onFocus(null) },
      h("button", { type: "button", class: "legend-swatch", "data-key": row.uid, "aria-pressed": String(!isHidden), "aria-label": isHidden ? `Show ${name}` : `Hide ${name}`, title: isHidden ? "Show" : "Hide", onclick: toggle }, swatch(row.uid)),
      h("a", { class: "clip", href: state.href("trial", row.uid), title: `${name}\n${text(row.name ?? "", 1000)}\n${row.uid}`, dir: "auto", onfocus: () => this.onFocus(row.uid), onblur: () => this.onFocus(null) }, this.shortLabels.get(row.uid) ?? name),
      statusDot(row),
      value,
      this.isChosen ? iconButton("close", `Remove ${name}`, () => state.set({ select: state.selected.filter((uid) => uid !== row.uid) })) : null,
    );
    this.items.set(row.uid, { item, value });
    return item;
  }

  /** Show what each trial has at the cursor. @param {Map<string, number>} values */
  showValues(values) {
    for (const [uid, { value }] of this.items) value.textContent = values.has(uid) ? number(values.get(uid)) : "";
  }

  /** @param {string | null} uid */
  focus(uid) {
    for (const [one, { item }] of this.items) item.classList.toggle("is-focused", one === uid);
  }

  close() {
    this.finder.close();
    removeEventListener("track:theme", this.onTheme);
  }
}

/**
 * Say which look stands for which value.
 * @param {"color" | "dash"} kind
 * @param {string} label
 * @param {import("./channels.js").Channel | null | undefined} channel
 */
function keyOf(kind, label, channel) {
  if (!channel) return null;
  const item = (/** @type {{label: string}} */ { label: value }, /** @type {number} */ place) => {
    const look = drawn(lookAt(kind, channel, place));
    return h("li", null, swatchOf(kind === "dash" ? { ...look, color: "currentColor" } : look), h("span", { class: "clip", dir: "auto" }, text(value, 60)));
  };
  const name = text(channel.label, 60);
  const more = channel.values.length - MOST_VALUES;
  return h("div", { class: "legend-key" }, h("span", { class: "soft clip", dir: "auto" }, `${label}: ${name}`), h("ul", { "aria-label": `${label} of ${name}` }, channel.values.slice(0, MOST_VALUES).map(item)), more > 0 ? h("span", { class: "soft" }, `and ${plural(more, "more value")}`) : null);
}
