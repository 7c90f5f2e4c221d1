/** Placeholders: an empty store, an empty result, an error, or loading. */

import { ApiError } from "./api.js";
import { h, withCode } from "./dom.js";

/** @param {unknown} error */
export function messageOf(error) {
  if (error instanceof ApiError) return error.message;
  console.warn(error);
  return `The page could not show this: ${error instanceof Error ? error.message : String(error)}`;
}

/**
 * Create a placeholder with a headline, an explanation and actions.
 * @param {string} headline
 * @param {import("./dom.js").Child} [detail]
 * @param {...import("./dom.js").Child} actions
 */
export function blank(headline, detail, ...actions) {
  return h(
    "div",
    { class: "blank", role: "status" },
    h("h2", null, headline),
    detail ? h("p", null, typeof detail === "string" ? withCode(detail) : detail) : null,
    actions.length ? h("div", { class: "blank-actions" }, ...actions) : null,
  );
}

/** Create the placeholder of an empty store, which explains how to log.
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
    h("p", null, "Trials appear here as soon as a program logs them:"),
    h("pre", { class: "code", tabindex: "0", "aria-label": "a program that logs a trial" }, program),
  );
}

/** Create the placeholder for an error, with a button to try again.
 * @param {unknown} error
 * @param {() => void} again
 */
export function failed(error, again) {
  const isGone = error instanceof ApiError && error.status === 0;
  return blank(
    isGone ? "The server is not responding" : "This could not be shown",
    isGone ? "Check that `track ui` is still running." : messageOf(error),
    h("button", { type: "button", class: "button", onclick: again }, "Try again"),
  );
}

/** Create placeholder lines with the height of the rows to come.
 * @param {number} n
 */
export function skeleton(n) {
  return h(
    "div",
    { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: n }, (_, i) => h("div", { class: "skeleton-line", style: { width: `${70 - ((i * 37) % 40)}%` } })),
  );
}
