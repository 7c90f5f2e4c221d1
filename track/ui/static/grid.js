/**
 * A table of any length: only visible rows are in the page.
 *
 * It is an ARIA grid. The grid has the focus and names the active row, so arrows, Space and
 * Enter work, and a screen reader follows.
 */

import { h, replace, setStyle } from "./dom.js";
import { lookOf } from "./colors.js";
import { nameOf, text } from "./format.js";
import { statusKind } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("./api.js").Row} Row */

export const ROW_HEIGHT = 34;
const BEYOND = 8;
/** The extra rows above and below the visible ones, so that scrolling shows no gap. */
const CHECK_WIDTH = 40;
const NAME_WIDTH = [170, 300];

/**
 * @typedef {{
 *   at: (index: number) => Row | undefined,
 *   need: (first: number, last: number) => void,
 *   href: (row: Row) => string,
 *   open: (row: Row) => void,
 *   select: (uid: string, isOn: boolean, through: boolean) => void,
 *   clear: () => void,
 *   sort: (column: Column) => void,
 * }} GridHost
 */

export class Grid {
  total = 0;
  active = 0;
  /** @type {Column[]} */
  columns = [];
  /** @type {Set<string>} */
  selected = new Set();
  sorted = "";
  isDescending = false;
  /** @type {Map<string, number>} Widths, kept so that nothing jumps while rows load. */
  #widths = new Map();
  /** @type {Map<number, {element: HTMLElement, row: Row | undefined, key: string}>} */
  #shown = new Map();
  #columnsKey = "";

  /** @param {GridHost} host */
  constructor(host) {
    this.host = host;
    this.head = h("div", { class: "grid-row grid-head", role: "row", "aria-rowindex": "1" });
    this.body = h("div", { class: "grid-body", role: "rowgroup" });
    this.root = h(
      "div",
      { class: "grid", role: "grid", tabindex: "0", "aria-label": "Trials", "aria-multiselectable": "true", "data-grid": true },
      h("div", { role: "rowgroup", class: "grid-top" }, this.head),
      this.body,
    );
    this.root.addEventListener("scroll", () => this.render(), { passive: true });
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.body.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#click(event));
    this.setColumns([], "", false); // a grid has a header while its columns are not known yet
    this.resizes = new ResizeObserver(() => this.render());
    this.resizes.observe(this.root);
  }

  /**
   * Show other columns, or another order.
   * @param {Column[]} columns
   * @param {string} sorted path by which the rows are sorted
   * @param {boolean} isDescending
   */
  setColumns(columns, sorted, isDescending) {
    this.columns = columns.map((column) => this.#aligned(column));
    this.sorted = sorted;
    this.isDescending = isDescending;
    this.#columnsKey = this.columns.map((column) => column.id + column.align).join("\n");
    this.root.setAttribute("aria-colcount", String(columns.length + 2));
    this.#measure();
    replace(
      this.head,
      h("div", { role: "columnheader", class: "cell cell-check" }, h("span", { class: "unseen" }, "Chosen")),
      this.#header({ id: "name", label: "Name", path: "name", align: "start" }),
      this.columns.map((column) => this.#header(column)),
    );
  }

  /** Align a numeric column at the end, so that digits of equal weight line up.
   * @param {Column} column
   * @returns {Column}
   */
  #aligned(column) {
    if (column.align === "end" || !column.value) return column;
    const values = this.#first().map((row) => column.value?.(row)).filter((value) => value !== undefined && value !== null);
    return values.length > 0 && values.every((value) => typeof value === "number") ? { ...column, align: "end" } : column;
  }

  /** Return the first rows that are loaded. */
  #first() {
    const rows = [];
    for (let index = 0; index < Math.min(this.total, 60); index += 1) {
      const row = this.host.at(index);
      if (row) rows.push(row);
    }
    return rows;
  }

  /** @param {Pick<Column, "id" | "label" | "path" | "align">} column */
  #header(column) {
    const isSorted = column.path !== null && column.path === this.sorted;
    const arrow = isSorted ? h("span", { class: "arrow", "aria-hidden": "true" }, this.isDescending ? "↓" : "↑") : null;
    const props = {
      role: "columnheader",
      class: `cell align-${column.align}${column.id === "name" ? " cell-name" : ""}`,
      "aria-sort": isSorted ? (this.isDescending ? "descending" : "ascending") : column.path ? "none" : null,
    };
    const label = h("span", { class: "clip" }, column.label);
    if (!column.path) return h("div", { ...props, title: column.label }, label);
    return h("div", props, h("button", { type: "button", class: "head-button", title: `Sort by ${column.label}`, onclick: () => this.host.sort(/** @type {Column} */ (column)) }, label, arrow));
  }

  /** Set the number of rows. @param {number} total */
  setTotal(total) {
    this.total = total;
    this.active = Math.min(this.active, Math.max(0, total - 1));
    this.root.setAttribute("aria-rowcount", String(total + 1));
    this.body.style.height = `${total * ROW_HEIGHT}px`;
  }

  /** Fit each column to the visible rows; later rows do not change its width. */
  #measure() {
    const rows = this.#first();
    const context = measuring();
    const width = (/** @type {string} */ written) => context.measureText(written.replace(/\d/g, "0")).width * 1.06; // digits have equal width, and some slack
    const columns = [{ id: "name", label: "Name", least: NAME_WIDTH[0], most: NAME_WIDTH[1], text: nameOf }, ...this.columns];
    for (const { id, label, least, most, text: write } of columns) {
      if (this.#widths.has(id) || rows.length === 0) continue;
      const room = id === "name" || id === "tags" ? 20 : 0;
      const longest = Math.max(width(label) + 14, ...rows.map((row) => width(write(row)) + room));
      const limit = id === "name" ? Math.min(most, Math.max(least, innerWidth / 2)) : most;
      this.#widths.set(id, Math.ceil(Math.min(limit, Math.max(least, longest + 26))));
    }
    const sizes = columns.map(({ id, least }) => this.#widths.get(id) ?? least);
    this.root.style.setProperty("--columns", [CHECK_WIDTH, ...sizes].map((size) => `${size}px`).join(" "));
    this.root.style.setProperty("--width", `${CHECK_WIDTH + sizes.reduce((sum, size) => sum + size, 0)}px`);
  }

  /** Draw the visible rows, leaving unchanged ones alone. */
  render() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW_HEIGHT) - BEYOND);
    const inSight = Math.ceil((this.root.clientHeight || 600) / ROW_HEIGHT);
    const last = Math.min(this.total - 1, first + inSight + 2 * BEYOND);
    this.first = first;
    this.last = last;
    for (const [index, { element }] of this.#shown) {
      if (index < first || index > last) {
        element.remove();
        this.#shown.delete(index);
      }
    }
    for (let index = first; index <= last; index += 1) this.#renderRow(index);
    const active = this.#shown.get(this.active);
    if (active) this.root.setAttribute("aria-activedescendant", active.element.id);
    else this.root.removeAttribute("aria-activedescendant");
    this.host.need(first, Math.max(first, last));
  }

  /** Measure again once the first rows are loaded, then draw. */
  refresh() {
    this.#measure();
    this.render();
  }

  /** @param {number} index */
  #renderRow(index) {
    const row = this.host.at(index);
    const isSelected = row !== undefined && this.selected.has(row.uid);
    const key = `${this.#columnsKey}${isSelected}${index === this.active}`;
    const known = this.#shown.get(index);
    if (known && known.row === row && known.key === key) return;
    const element = known?.element ?? h("div", { class: "grid-row", role: "row", id: `row-${index}`, "aria-rowindex": index + 2, style: { top: `${index * ROW_HEIGHT}px` } });
    element.classList.toggle("is-active", index === this.active);
    element.setAttribute("aria-selected", String(isSelected));
    if (row) this.#fillRow(element, row, isSelected);
    else fillEmpty(element, this.columns.length + 2);
    if (!known) this.body.append(element);
    this.#shown.set(index, { element, row, key });
  }

  /** @param {HTMLElement} element @param {Row} row @param {boolean} isSelected */
  #fillRow(element, row, isSelected) {
    const name = nameOf(row);
    replace(
      element,
      h("div", { role: "gridcell", class: "cell cell-check" }, h("span", { class: "check", "data-check": true, title: isSelected ? `Chosen: ${name}` : `Choose ${name}` }, isSelected ? swatch(row.uid) : null)),
      h(
        "div",
        { role: "gridcell", class: "cell cell-name", title: `${text(row.name ?? row.uid, 1000)}\n${row.uid}` },
        h("i", { class: "dot", "data-kind": statusKind(row.status), "aria-hidden": "true" }),
        h("a", { class: "clip", href: this.host.href(row), tabindex: "-1", dir: "auto" }, name),
      ),
      this.columns.map((column) => {
        const content = column.cell ? column.cell(row) : column.text(row);
        return h("div", { role: "gridcell", class: `cell align-${column.align}`, title: column.title?.(row) || null }, column.cell ? content : h("span", { class: "clip", dir: "auto" }, content));
      }),
    );
  }

  /** Redraw everything that depends on the clock. */
  tick() {
    for (const known of this.#shown.values()) known.key = "";
    this.render();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const element = /** @type {HTMLElement | null} */ (target.closest(".grid-row"));
    if (!element || target.closest("a")) return;
    const index = Number(element.id.slice(4));
    this.#choose(index, event.shiftKey);
  }

  /** @param {number} index @param {boolean} isThrough from the row that was active before */
  #choose(index, isThrough) {
    const row = this.host.at(index);
    if (!row) return;
    const isOn = !this.selected.has(row.uid);
    if (isThrough) {
      const [from, to] = [Math.min(index, this.active), Math.max(index, this.active)];
      for (let i = from; i <= to; i += 1) {
        const one = this.host.at(i);
        if (one) this.host.select(one.uid, true, i !== to);
      }
    } else this.host.select(row.uid, isOn, false);
    this.active = index;
    this.render();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.root) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW_HEIGHT) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total, j: 1, k: -1 };
    const move = /** @type {Record<string, number>} */ (moves)[event.key];
    if (move !== undefined) {
      const before = this.active;
      this.#activate(Math.min(this.total - 1, Math.max(0, this.active + move)));
      if (event.shiftKey && Math.abs(move) === 1 && before !== this.active) {
        const row = this.host.at(this.active);
        if (row) this.host.select(row.uid, true, false);
      }
    } else if (event.key === " ") this.#choose(this.active, event.shiftKey);
    else if (event.key === "Enter") {
      const row = this.host.at(this.active);
      if (row) this.host.open(row);
    } else if (event.key === "Escape") this.host.clear();
    else return;
    event.preventDefault();
  }

  /** @param {number} index */
  #activate(index) {
    this.active = index;
    const top = index * ROW_HEIGHT;
    const room = this.root.clientHeight - this.head.offsetHeight;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top + ROW_HEIGHT > this.root.scrollTop + room) this.root.scrollTop = top + ROW_HEIGHT - room;
    this.render();
  }

  close() {
    this.resizes.disconnect();
  }
}

/** @param {HTMLElement} element @param {number} n */
function fillEmpty(element, n) {
  replace(
    element,
    Array.from({ length: n }, (_, i) => h("div", { role: "gridcell", class: i === 0 ? "cell cell-check" : i === 1 ? "cell cell-name" : "cell" }, h("span", { class: "bone" }))),
  );
}

/** Create a sample of the line of a trial in charts.
 * @param {string} uid
 */
export function swatch(uid) {
  return swatchOf(lookOf(uid));
}

/** @param {{color: string, dash: number[]}} look */
export function swatchOf({ color, dash }) {
  const line = h("i", { class: "swatch", "aria-hidden": "true" });
  const stripes = dash.length ? `repeating-linear-gradient(90deg, ${color} 0 ${dash[0] / 2 + 1}px, transparent ${dash[0] / 2 + 1}px ${(dash[0] + dash[1]) / 2 + 1}px)` : color;
  setStyle(line, { background: stripes });
  return line;
}

/** @type {CanvasRenderingContext2D | null} */
let context = null;

function measuring() {
  if (!context) {
    context = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
    context.font = `13px ${getComputedStyle(document.body).fontFamily}`;
  }
  return context;
}
