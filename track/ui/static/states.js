/** What is shown when there is nothing to show: nothing logged, nothing found, nobody there. */

import { ApiError } from "./api.js";
import { h } from "./dom.js";

/** @param {unknown} error */
export function messageOf(error) {
  if (error instanceof ApiError) return error.message;
  console.warn(error);
  return `The page could not show this: ${error instanceof Error ? error.message : String(error)}`;
}

/**
 * Make a state with a headline, what it means, and what can be done.
 * @param {string} headline
 * @param {import("./dom.js").Child} [detail]
 * @param {...import("./dom.js").Child} actions
 */
export function blank(headline, detail, ...actions) {
  return h(
    "div",
    { class: "blank", role: "status" },
    h("h2", null, headline),
    detail ? h("p", null, detail) : null,
    actions.length ? h("div", { class: "blank-actions" }, ...actions) : null,
  );
}

/** What an empty store shows: how something gets into it.
 * @param {string} uri
 */
export function emptyStore(uri) {
  const program = [
    "from track import TrackClient",
    "",
    `client = TrackClient(${JSON.stringify(uri || "file:report.json")})`,
    'client.set_project(name="demo")',
    'with client.new_trial(name="first", parameters={"lr": 0.1}) as trial:',
    "    for step in range(100):",
    "        trial.log_metrics(step=step, loss=1 / (step + 1))",
  ].join("\n");
  return h(
    "div",
    { class: "blank", role: "status" },
    h("h2", null, "Nothing has been logged yet"),
    h("p", null, "This page shows trials as soon as a program logs them, without a reload:"),
    h("pre", { class: "code", tabindex: "0", "aria-label": "a program that logs a trial" }, program),
  );
}

/** What is shown of an error, with a way to try again.
 * @param {unknown} error
 * @param {() => void} again
 */
export function failed(error, again) {
  return blank(
    error instanceof ApiError && error.status === 0 ? "The server does not answer" : "This could not be shown",
    messageOf(error),
    h("button", { type: "button", class: "button", onclick: again }, "Try again"),
  );
}

/** Lines that stand where rows will be, as high as those.
 * @param {number} n
 */
export function skeleton(n) {
  return h(
    "div",
    { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: n }, (_, i) => h("div", { class: "skeleton-line", style: { width: `${70 - ((i * 37) % 40)}%` } })),
  );
}
