/** The options of charts: axes, smoothing and zoom. All of them are stored in the URL. */

import { h, replace, throttle } from "./dom.js";
import { text } from "./format.js";

const MOST_NAMES = 200;
const BANDS = [["range", "Min to max"], ["deviation", "± std"]];

/**
 * Return the chart options from the URL.
 * @param {import("./state.js").State} state
 * @returns {import("./chart.js").ChartOptions}
 */
export function optionsOf(state) {
  const x = state.get("x", "step");
  const zoom = state.get("zoom").split(",").map(Number);
  return {
    x: /** @type {any} */ (["step", "relative", "wall"].includes(x) || x.startsWith("metric:") ? x : "step"),
    band: state.get("band") === "deviation" ? "deviation" : "range",
    isLogX: state.get("logx") === "1" && x !== "wall",
    isLogY: state.get("logy") === "1",
    smoothing: Math.min(0.999, Math.max(0, Number(state.get("smooth")) || 0)),
    zoom: zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] ? /** @type {[number, number]} */ (zoom) : null,
  };
}

/**
 * Create the controls, keeping existing ones that have the focus.
 * @param {import("./app.js").App} app
 * @param {Element | null} [before] the existing controls
 * @param {{metrics?: string[], parameters?: string[] | null}} [names] metrics for the axis, and
 *   parameters to group by, null if there is nothing to group
 * @returns {import("./dom.js").Child}
 */
export function controls({ state }, before, { metrics = [], parameters = null } = {}) {
  const options = optionsOf(state);
  const axes = [["", "Metric…"], ...metrics.slice(0, MOST_NAMES).map((name) => [`metric:${name}`, text(name, 60)])];
  const groups = [["", "Each trial"], ["config", "Configuration"], ["group", "Group"], ["status", "Status"], ...(parameters ?? []).slice(0, MOST_NAMES).map((name) => [`parameters.${name}`, text(name, 60)])];
  if (before?.firstChild) {
    for (const [name, choices, value] of /** @type {[string, string[][], string][]} */ ([["across", axes, options.x.startsWith("metric:") ? options.x : ""], ["group", groups, state.get("group")], ["band", BANDS, options.band]])) {
      const select = /** @type {HTMLSelectElement | null} */ (before.querySelector(`select[name=${name}]`));
      if (!select) continue;
      fill(select, choices, value);
      if (name === "band") select.hidden = state.get("group") === "";
    }
    const zoom = before.querySelector(".zoom-reset");
    if (zoom) /** @type {HTMLElement} */ (zoom).hidden = options.zoom === null;
    for (const input of before.querySelectorAll("input")) {
      if (input.name === "x") input.checked = input.value === options.x;
      else if (input.name === "logx") input.checked = state.get("logx") === "1";
      else if (input.name === "logy") input.checked = options.isLogY;
      else if (input.type === "range" && input !== document.activeElement) input.value = String(options.smoothing);
    }
    const said = before.querySelector("output");
    if (said) said.textContent = options.smoothing.toFixed(2);
    return [...before.childNodes];
  }
  const smooth = throttle(80, (/** @type {string} */ value) => state.set({ smooth: Number(value) ? value : null }, { replace: true }));
  const filter = throttle(200, (/** @type {string} */ value) => state.set({ metrics: value || null }, { replace: true }));
  const select = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string[][]} */ choices, /** @type {string} */ value, /** @type {(value: string) => void} */ choose) => {
    const made = h("select", { name, class: "select", "aria-label": label, title: label, onchange: (/** @type {any} */ event) => choose(event.target.value) });
    fill(made, choices, value);
    return made;
  };
  const band = select("band", "Band around the mean", BANDS, options.band, (value) => state.set({ band: value === "range" ? null : value }));
  band.hidden = state.get("group") === "";
  const toggle = (/** @type {string} */ name, /** @type {string} */ label, /** @type {boolean} */ isOn) =>
    h("label", { class: "option" }, h("input", { type: "checkbox", name, checked: isOn, onchange: (/** @type {any} */ event) => state.set({ [name]: event.target.checked ? "1" : null }) }), label);
  return [
    h("input", { type: "search", class: "input metric-filter", placeholder: "Find metrics", "aria-label": "Find metrics", "data-search": true, value: state.get("metrics"), oninput: (/** @type {any} */ event) => filter(event.target.value) }),
    h(
      "span",
      { class: "segments", role: "radiogroup", "aria-label": "Horizontal axis" },
      [["step", "Step"], ["relative", "Relative"], ["wall", "Time"]].map(([value, label]) =>
        h("label", null, h("input", { type: "radio", name: "x", value, checked: value === options.x, onchange: () => state.set({ x: value === "step" ? null : value, zoom: null }) }), label),
      ),
    ),
    select("across", "A metric as the horizontal axis", axes, options.x.startsWith("metric:") ? options.x : "", (value) => state.set({ x: value || null, zoom: null })),
    parameters === null ? null : select("group", "One line for each", groups, state.get("group"), (value) => state.set({ group: value || null })),
    parameters === null ? null : band,
    h("span", { class: "field" }, toggle("logy", "Log y", options.isLogY), toggle("logx", "Log x", state.get("logx") === "1")),
    h("label", { class: "field" }, "Smoothing", h("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(options.smoothing), oninput: (/** @type {any} */ event) => smooth(event.target.value) }), h("output", { class: "smooth-value" }, options.smoothing.toFixed(2))),
    h("button", { type: "button", class: "button small zoom-reset", hidden: options.zoom === null, onclick: () => state.set({ zoom: null }) }, "Reset zoom"),
  ];
}

/**
 * Set the options of a menu, including the value from the URL.
 * @param {HTMLSelectElement} select
 * @param {string[][]} choices
 * @param {string} value
 */
function fill(select, choices, value) {
  const all = choices.some(([one]) => one === value) ? choices : [...choices, [value, text(value.replace(/^(metric:|parameters\.)/, ""), 60)]];
  const written = JSON.stringify(all);
  if (select.dataset.choices !== written) replace(select, all.map(([one, label]) => h("option", { value: one }, label)));
  select.dataset.choices = written;
  select.value = value;
}

/** Return the metric used as the horizontal axis, null if there is none.
 * @param {string} x
 */
export function acrossOf(x) {
  return x.startsWith("metric:") ? x.slice("metric:".length) : null;
}
