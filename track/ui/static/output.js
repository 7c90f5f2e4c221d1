/** The captured output of a trial: its latest lines, which grow while it runs. */

import { News } from "./api.js";
import { h, throttle } from "./dom.js";
import { clock, count, fullTime, plural, text } from "./format.js";

/**
 * @typedef {[number, string, string, boolean, number, number]} Line time, source, text, whether it is
 *   whole, how many lines were left out in its place, and the index of its process
 * @typedef {{host: string, pid: number, rank: number | null}} Process
 * @typedef {{position: number, earlier: number, processes: Process[], lines: Line[]}} Answer
 */

const MOST_LINES = 2000;
const LONGEST = 2000;

export class OutputPanel {
  /** @param {import("./app.js").App} app @param {string} uid */
  constructor(app, uid) {
    this.app = app;
    this.note = h("p", { class: "soft panel-note" });
    this.list = h("div", { class: "output-lines mono", tabindex: "0", role: "region", "aria-label": "Output" });
    this.root = h("details", { class: "fact-section", open: true, hidden: true, "data-name": "Output" }, h("summary", null, h("h2", null, "Output")), this.note, this.list);
    /** @type {Map<string, HTMLElement>} The unfinished line of each process and source. */
    this.open = new Map();
    /** @type {Set<string>} */
    this.processes = new Set();
    this.earlier = 0;
    /** @type {News<Answer>} */
    this.news = new News("output", uid);
    this.load = throttle(1000, () => this.#load());
  }

  async #load() {
    const { answer, isMore } = await this.news.ask(this.app.state.at);
    if (!answer || (isMore && answer.lines.length === 0)) return;
    const before = isMore ? this.earlier : 0;
    const shown = isMore ? this.list.childElementCount : 0;
    if (!isMore || answer.earlier) this.#clear();
    this.earlier = before + answer.earlier + (answer.earlier ? shown : 0);
    this.#append(answer);
  }

  #clear() {
    this.list.replaceChildren();
    this.open.clear();
    this.processes.clear();
  }

  /** @param {Answer} answer */
  #append({ lines, processes }) {
    const list = this.list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    const names = processes.map(nameOf);
    for (const name of names) this.processes.add(name);
    for (const line of lines) {
      const [, source, , isWhole, leftOut, process] = line;
      const key = JSON.stringify([names[process], source]);
      const row = rowOf(line, names[process]);
      if (!leftOut) {
        this.open.get(key)?.remove();
        this.open.delete(key);
      }
      if (!isWhole) this.open.set(key, row);
      list.append(row);
    }
    while (list.childElementCount > MOST_LINES) {
      list.firstElementChild?.remove();
      this.earlier += 1;
    }
    this.root.hidden = list.childElementCount === 0;
    list.classList.toggle("has-processes", this.processes.size > 1);
    const from = this.processes.size > 1 ? `${count(this.processes.size)} processes` : [...this.processes].join();
    this.note.textContent = from + (this.earlier ? `. The latest ${count(list.childElementCount)} lines; track output prints the ${count(this.earlier)} before them.` : "");
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  close() {
    this.news.cancel();
  }
}

/** @param {Line} line @param {string} process */
function rowOf([at, source, said, isWhole, leftOut], process) {
  const shown = leftOut ? `… ${plural(leftOut, "line")} left out` : text(said.replaceAll("\t", "    "), LONGEST);
  return h(
    "div",
    { class: `output-line ${source}${isWhole ? "" : " unfinished"}${leftOut ? " soft" : ""}` },
    h("time", { class: "soft", title: `${fullTime(at)}, ${source}, ${process}` }, clock(at)),
    h("span", { class: "output-process soft" }, process),
    h("span", { class: "output-text", dir: "auto" }, shown),
  );
}

/** @param {Process} process */
function nameOf({ host, pid, rank }) {
  return `${text(host, 60)}, process ${pid}${rank === null ? "" : `, rank ${rank}`}`;
}
