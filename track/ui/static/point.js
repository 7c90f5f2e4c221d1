/** Details of a point of a curve or any other value: who set it, with a link to the event. */

import { getJson } from "./api.js";
import { h, replace } from "./dom.js";
import { count, duration, fullTime, number, text, time } from "./format.js";
import { pathOf } from "./columns.js";
import { openPanel } from "./popover.js";
import { messageOf, skeleton } from "./states.js";

/**
 * Show the details of a point of a curve.
 * @param {import("./app.js").App} app
 * @param {Element} anchor
 * @param {{uid: string, metric: string, step: number | string, time: number, value: number}} point
 * @param {string} name the name of the trial
 */
export function openPoint(app, anchor, point, name) {
  const origins = h("div", null, skeleton(3));
  openPanel(anchor, "Point", [
    h("div", { class: "point-head" }, h("strong", { class: "clip" }, name), h("span", { class: "soft clip" }, text(point.metric, 60))),
    h("dl", { class: "facts" }, fact("Value", number(point.value, 8)), fact("Step", typeof point.step === "number" ? number(point.step, 12) : text(point.step)), fact("Time", time(point.time))),
    origins,
  ]);
  fillOrigins(app, origins, point.uid, `${pathOf("metrics", point.metric)}.${point.step}`);
}

/**
 * Show who set a value of a trial.
 * @param {import("./app.js").App} app
 * @param {Element} anchor
 * @param {string} uid
 * @param {string} path
 */
export function openOrigins(app, anchor, uid, path) {
  const origins = h("div", { class: "origins" }, skeleton(3));
  openPanel(anchor, `Who set ${path}`, [h("div", { class: "point-head" }, h("strong", { class: "clip mono" }, text(path, 80)), h("span", { class: "soft" }, "who set it, the latest first")), origins]);
  fillOrigins(app, origins, uid, path);
}

/**
 * @param {import("./app.js").App} app
 * @param {HTMLElement} holder
 * @param {string} uid
 * @param {string} path
 */
async function fillOrigins(app, holder, uid, path) {
  try {
    const found = await getJson("origins", { trial: uid, path, at: app.state.at });
    replace(holder, found.length ? [...found].reverse().slice(0, 20).map((/** @type {any} */ origin) => originItem(app, uid, origin)) : h("p", { class: "soft" }, "No single event set this value."));
  } catch (error) {
    replace(holder, h("p", { class: "soft wrap" }, messageOf(error)));
  }
}

/** @param {import("./app.js").App} app @param {string} uid @param {any} origin */
function originItem({ state }, uid, origin) {
  const attempt = origin.attempt;
  const replaced = origin.replaced === undefined || origin.replaced === null ? null : h("span", { class: "soft" }, ` instead of ${text(origin.replaced, 60)}`);
  return h(
    "div",
    { class: "origin" },
    h("div", null, h("b", { class: "mono" }, text(origin.value, 80)), replaced),
    h(
      "div",
      { class: "soft" },
      h("a", { href: state.href("history", null, { trial: uid, event: origin.position }) }, `${text(origin.kind)} at ${count(origin.position)}`),
      ` · `,
      h("span", { title: fullTime(origin.time) }, time(origin.time)),
    ),
    attempt
      ? h("div", { class: "soft" }, [`attempt ${attempt.number}`, attempt.host, attempt.commit ? `commit ${String(attempt.commit).slice(0, 10)}${attempt.modified ? "+" : ""}` : null, attempt.runtime ? duration(attempt.runtime) : null].filter(Boolean).map((part) => text(part)).join(" · "))
      : null,
    h("a", { class: "button small", href: state.href("trial", uid, { at: origin.position }) }, "Show the trial at this moment"),
  );
}

/** @param {string} name @param {import("./dom.js").Child} value */
export function fact(name, value) {
  return [h("dt", null, name), h("dd", null, value)];
}
