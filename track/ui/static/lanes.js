/** The attempts of a trial as lanes over time, and the changes between two moments. */

import { getJson } from "./api.js";
import { h, replace } from "./dom.js";
import { count, duration, fullTime, plural, text, time } from "./format.js";
import { statusBadge, statusKind } from "./columns.js";
import { messageOf } from "./states.js";

const MOST_DIFFERENCES = 300;

/**
 * Draw one lane per attempt, one below the other, on a shared time axis.
 * @param {any} trial
 * @param {{attempts: any[], complete: boolean}} overwritten what later attempts wrote over
 */
export function lanes(trial, overwritten) {
  const attempts = trial.attempts ?? [];
  if (attempts.length === 0) return null;
  const first = Math.min(...attempts.map((/** @type {any} */ one) => one.start));
  const last = Math.max(...attempts.map((/** @type {any} */ one) => one.end ?? one.last ?? one.start));
  const share = (/** @type {number} */ at) => (last > first ? ((at - first) / (last - first)) * 100 : 0);
  return h(
    "section",
    { class: "lanes" },
    h("h2", null, "Attempts"),
    h("ol", null, attempts.map((/** @type {any} */ one) => {
      const end = one.end ?? one.last ?? one.start;
      const bar = h("i", { class: "lane-bar", "data-kind": statusKind(one.status), style: { left: `${share(one.start)}%`, width: `${Math.max(1, share(end) - share(one.start))}%` } });
      const lost = overwritten.attempts.find((other) => other.number === one.number);
      const part = lost && h("i", { class: "lane-lost", style: { left: `${share(lost.from)}%`, width: `${Math.max(1, share(lost.to) - share(lost.from))}%` } });
      return h(
        "li",
        { class: "lane" },
        h("div", { class: "lane-head" }, h("b", null, String(one.number)), statusBadge(one.status), h("span", { class: "soft" }, [text(one.host), `${count(one.events)} events`, duration((end - one.start) / 1000)].filter(Boolean).join(" · "))),
        h("div", { class: "lane-room", "aria-hidden": "true", title: `${fullTime(one.start)} – ${fullTime(end)}` }, bar, part),
        lost ? h("div", { class: "soft" }, `${plural(lost.points, "point")} overwritten by attempt ${lost.by}: ${lost.first === lost.last ? `step ${text(lost.first)}` : `steps ${text(lost.first)} to ${text(lost.last)}`}`) : null,
      );
    })),
    h("div", { class: "lane-axis soft" }, h("span", null, time(first)), h("span", null, time(last))),
    overwritten.complete ? null : h("p", { class: "hint" }, "Only the first events of this trial were searched for overwritten points."),
  );
}

/**
 * Create a panel with the changes of a trial between two moments from the URL.
 * @param {import("./app.js").App} app
 * @param {any} trial
 */
export function changePanel({ state }, trial) {
  const holder = h("div", { class: "differences" });
  const from = state.get("from");
  const to = state.at;
  const panel = h(
    "section",
    { class: "changes" },
    h("h2", null, "What changed"),
    from
      ? h("p", { class: "soft" }, `from position ${count(Number(from))} to ${to === null ? "now" : `position ${text(to)}`} `, h("button", { type: "button", class: "button small quiet", onclick: () => state.set({ from: null }) }, "Clear"))
      : h("p", { class: "soft" }, "Choose an event, then “What changed since”."),
    holder,
  );
  if (from) fill();
  return panel;

  async function fill() {
    try {
      const found = await getJson("diff", { left: trial.uid, right: trial.uid, left_at: from, right_at: to });
      replace(holder, differenceTable(found, ["Before", "After"]));
    } catch (error) {
      replace(holder, h("p", { class: "soft wrap" }, messageOf(error)));
    }
  }
}

/**
 * @param {{path: string, left: any, right: any}[]} found
 * @param {[string, string]} labels
 */
export function differenceTable(found, labels) {
  if (found.length === 0) return h("p", { class: "soft" }, "There are no differences.");
  return [
    h(
      "table",
      { class: "table compact" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "What"), labels.map((label) => h("th", { scope: "col" }, label)))),
      h("tbody", null, found.slice(0, MOST_DIFFERENCES).map(({ path, left, right }) => h("tr", null, h("th", { scope: "row", class: "wrap" }, text(path)), h("td", { class: "wrap gone" }, written(left)), h("td", { class: "wrap come" }, written(right))))),
    ),
    found.length > MOST_DIFFERENCES ? h("p", { class: "hint" }, `${count(found.length - MOST_DIFFERENCES)} more`) : null,
  ];
}

/** Write a value; of a status its name. @param {any} value */
function written(value) {
  const isStatus = value !== null && typeof value === "object" && "name" in value && "value" in value;
  return isStatus ? text(value.name) : value === null || value === undefined ? "–" : text(value);
}
