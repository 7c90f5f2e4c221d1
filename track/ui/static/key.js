/** The names of the lines of a chart in the row below it, and all of them in a menu if they do not fit. */

import { h, replace } from "./dom.js";
import { plural, text } from "./format.js";
import { swatch } from "./grid.js";
import { menuButton } from "./popover.js";

export class Key {
  /** @type {string[]} */
  #uids = [];

  /**
   * @param {string} metric
   * @param {import("./chart.js").ChartHost} host
   */
  constructor(metric, host) {
    this.host = host;
    // What the list of trials says to everyone is only repeated for the eyes.
    this.row = h("div", { class: "chart-key-row", "aria-hidden": "true" });
    this.list = h("ul", { class: "chart-key-list" });
    this.label = `lines of ${text(metric, 60)}`;
    this.more = menuButton("", () => this.#all(), { class: "chart-key-more", "aria-label": `All ${this.label}` });
    this.root = h("div", { class: "chart-key", hidden: !host.hasKey }, this.row, this.more);
  }

  /** Name other lines. @param {string[]} uids */
  show(uids) {
    this.#uids = uids;
    replace(this.row, uids.map((uid) => this.#item("span", uid)));
    this.#all();
    this.fit();
  }

  #all() {
    replace(this.list, this.#uids.map((uid) => this.#item("li", uid)));
    return this.list;
  }

  /** @param {string} tag @param {string} uid */
  #item(tag, uid) {
    const { host } = this;
    return h(tag, { class: "chart-key-item", "data-uid": uid, title: host.nameOf(uid), onmouseenter: () => host.onFocus(uid), onmouseleave: () => host.onFocus(null) }, swatch(uid), h("span", { class: "clip", dir: "auto" }, host.labelOf(uid)));
  }

  /** Say how many lines the row has no room for. */
  fit() {
    const items = /** @type {HTMLElement[]} */ ([...this.row.children]);
    const below = () => items.filter((item) => item.offsetTop > items[0].offsetTop).length;
    this.more.hidden = true;
    if (below() === 0) return;
    this.more.hidden = false; // which takes room from the row
    const { button } = this.more;
    button.textContent = `+${below()}`;
    button.title = `All ${plural(items.length, "line")}`;
    button.setAttribute("aria-label", `+${below()} ${this.label}`);
  }

  /** Light the name of a line, or of none. @param {string | null} uid */
  light(uid) {
    for (const item of /** @type {HTMLElement[]} */ ([...this.row.children, ...this.list.children])) item.classList.toggle("is-focused", item.dataset.uid === uid);
  }
}
