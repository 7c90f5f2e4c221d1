/** The images of many trials: a row for each trial or value of a parameter, a column for each step. */

import { getJson, Latest } from "./api.js";
import { labelOf, ordered } from "./channels.js";
import { trialsOf } from "./chosen.js";
import { assign } from "./colors.js";
import { h, keepingFocus, replace, throttle } from "./dom.js";
import { count, fullTime, number, plural, text } from "./format.js";
import { swatch } from "./grid.js";
import { groupsOf } from "./groups.js";
import { differing, labelsOf } from "./labels.js";
import { addressOf, size, stepOf } from "./media.js";
import { openDialog } from "./popover.js";
import { blank, failed, skeleton } from "./states.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./media.js").Medium & {trial: string}} Image */
/** @typedef {{names: string[], name: string | null, total: number, steps: any[], images: Image[]}} Answer */

const MOST_IN_CELL = 12;
const MOST_NAMES = 200;
/** The width below which pixels are shown as squares, in pixels. */
const TINY = 112;

export class ImageTable {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    const select = (/** @type {string} */ name, /** @type {string} */ label) => h("select", { name, class: "select", "aria-label": label, onchange: (/** @type {any} */ event) => app.state.set({ [name]: event.target.value || null }, { replace: true }) });
    this.name = select("image", "Images");
    this.by = select("rows", "Rows");
    this.note = h("span", { class: "soft", role: "status" });
    this.bar = h("div", { class: "picture-bar images-bar", hidden: true }, h("label", { class: "field" }, "Images", this.name), h("label", { class: "field" }, "Rows", this.by), this.note);
    this.table = h("div", { class: "images-scroll", tabindex: "0", role: "region", "aria-label": "Images by step" }, skeleton(6));
    this.table.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.root = h("div", { class: "images" }, this.bar, this.table);
    /** @type {Latest<{rows: Row[], answer: Answer}>} */
    this.asking = new Latest();
    this.update = throttle(300, () => this.#load());
  }

  /** @param {import("./live.js").Change} change */
  live(change) {
    if (change.trials === null || change.kinds.MediaLogged || change.kinds.TrialCreated) this.update();
  }

  async #load() {
    const { state } = this.app;
    try {
      const found = await this.asking.ask(async (signal) => {
        const { rows } = await trialsOf(this.app, state.selected, signal);
        const answer = rows.length ? await getJson("images", { trial: rows.map((row) => row.uid), name: state.get("image"), at: state.at }, signal) : { names: [], name: null, total: 0, steps: [], images: [] };
        return { rows, answer };
      });
      if (!found) return;
      assign(found.rows.map((row) => row.uid));
      keepingFocus(this.table, () => this.#draw(found.rows, found.answer));
    } catch (error) {
      replace(this.table, failed(error, () => this.#load()));
    }
  }

  /** @param {Row[]} rows @param {Answer} answer */
  #draw(rows, answer) {
    const { state } = this.app;
    const by = state.get("rows");
    const { names, name, steps, images } = answer;
    this.bar.hidden = names.length === 0;
    if (images.length === 0) {
      replace(this.table, blank(names.length ? "No images of this name" : "These trials have no images", "Images that trials log with `log_image` or `log_figure` appear here, for each trial by step."));
      if (names.length === 0) return;
    }
    fill(this.name, [...new Set([...names, name ?? ""])].slice(0, MOST_NAMES).map((one) => [one, text(one, 60)]), name ?? "");
    fill(this.by, [["", "Trial"], ["config", "Configuration"], ["group", "Group"], ["status", "Status"], ...differing(rows).slice(0, MOST_NAMES).map((one) => [`parameters.${one}`, text(one, 60)])], by);
    this.note.textContent = answer.total > steps.length ? `${steps.length} of ${count(answer.total)} steps` : plural(steps.length, "step");
    if (images.length === 0) return;
    const labels = labelsOf(rows);
    const places = new Map(rows.map((row, place) => [row.uid, place]));
    /** @type {Map<string, Image[]>} */
    const cells = new Map();
    const sorted = [...images].sort((a, b) => (places.get(a.trial) ?? 0) - (places.get(b.trial) ?? 0) || a.place - b.place);
    const lines = by === "" ? rows.map((row) => ({ key: row.uid, label: labels.get(row.uid) ?? row.uid, members: [row] })) : ordered(groupsOf(rows, by));
    const lineOf = new Map(lines.flatMap((line) => line.members.map((row) => [row.uid, line.key])));
    for (const image of sorted) {
      const id = JSON.stringify([lineOf.get(image.trial), image.step]);
      cells.set(id, [...(cells.get(id) ?? []), image]);
    }
    const head = (/** @type {any} */ step) => h("th", { scope: "col" }, step === null ? "no step" : `step ${typeof step === "number" ? number(step, 9) : text(step, 40)}`);
    const cell = (/** @type {Image[]} */ some) => h("td", null, h("div", { class: "images-cell" }, some.slice(0, MOST_IN_CELL).map((image) => this.#image(image, labels.get(image.trial) ?? image.trial)), some.length > MOST_IN_CELL ? h("span", { class: "soft" }, `${some.length - MOST_IN_CELL} more`) : null));
    const seen = lines.filter((line) => steps.some((step) => cells.has(JSON.stringify([line.key, step]))));
    const title = (/** @type {{key: string, label: string, members: Row[]}} */ line) => (by === "" ? h("span", { class: "images-name" }, swatch(line.key), h("a", { class: "clip", href: state.href("trial", line.key), title: line.label, dir: "auto" }, line.label)) : [h("span", { class: "clip", title: line.label, dir: "auto" }, text(line.label, 100)), h("span", { class: "soft" }, plural(line.members.length, "trial"))]);
    replace(
      this.table,
      h(
        "table",
        { class: "table images-table" },
        h("caption", { class: "unseen" }, `Images of ${text(name ?? "", 100)} by ${by === "" ? "trial" : labelOf(by)} and step`),
        h("thead", null, h("tr", null, h("td", null), steps.map(head))),
        h("tbody", null, seen.map((line) => h("tr", null, h("th", { scope: "row" }, title(line)), steps.map((step) => cell(cells.get(JSON.stringify([line.key, step])) ?? []))))),
      ),
      seen.length < lines.length ? h("p", { class: "hint compare-hint" }, `${plural(lines.length - seen.length, by === "" ? "trial" : "row")} without images of this name`) : null,
    );
    const first = this.table.querySelector(".image-button");
    if (first) /** @type {HTMLElement} */ (first).tabIndex = 0;
  }

  /** @param {Image} image @param {string} trial the label of its trial */
  #image(image, trial) {
    const said = [trial, stepOf(image), text(image.caption ?? "", 200)].filter(Boolean).join(", ");
    const picture = (/** @type {string} */ kind, /** @type {Record<string, any>} */ more) => h("img", { src: addressOf(image.trial, image), class: image.facts.width < TINY ? `${kind} is-tiny` : kind, width: size(image.facts.width), height: size(image.facts.height), ...more });
    const open = () => openDialog(`${text(image.name, 100)}, ${stepOf(image) || "no step"}`, [
      picture("image-large", { alt: said }),
      h("dl", { class: "facts" }, [["Trial", h("a", { href: this.app.state.href("trial", image.trial), onclick: (/** @type {any} */ event) => event.target.closest("dialog").close() }, trial)], ["Caption", text(image.caption ?? "", 2000)], ["Logged", fullTime(image.time)], ["Size", `${image.facts.width ?? "?"} × ${image.facts.height ?? "?"}`]].filter(([, value]) => value).map(([label, value]) => [h("dt", null, label), h("dd", null, value)])),
    ]);
    return h("button", { type: "button", class: "image-button", "data-key": `${image.trial} ${image.position} ${image.place}`, tabindex: "-1", title: said, onclick: open }, picture("", { alt: said, loading: "lazy" }));
  }

  /** Move among the images with the arrow keys; only one of them can be reached with Tab.
   * @param {KeyboardEvent} event
   */
  #key(event) {
    const here = /** @type {HTMLElement} */ (event.target);
    const row = here.closest("tr");
    if (!here.matches(".image-button") || !row) return;
    const column = /** @type {HTMLTableCellElement} */ (here.closest("td")).cellIndex;
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const down = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
    if (!sideways && !down) return;
    event.preventDefault();
    /** @type {any} */
    let next = null;
    if (sideways) {
      const all = [...row.querySelectorAll(".image-button")];
      next = all[all.indexOf(here) + sideways];
    } else {
      for (let other = /** @type {any} */ (row)[/** @type {string} */ (down)]; other && !next; other = other[/** @type {string} */ (down)]) next = other.cells[column].querySelector(".image-button");
    }
    if (!next) return;
    here.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  close() {
    this.asking.cancel();
  }
}

/** @param {HTMLSelectElement} select @param {string[][]} choices @param {string} value */
function fill(select, choices, value) {
  replace(select, choices.map(([one, label]) => h("option", { value: one }, label)));
  select.value = value;
}
