/** The options of charts: axes, smoothing and zoom. All of them are stored in the URL. */

import { GROUPING, labelOf } from "./channels.js";
import { h, icon, replace, throttle } from "./dom.js";
import { text } from "./format.js";
import { menuButton } from "./popover.js";

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
    smoothing: state.get("smooth") === "" ? null : Math.min(0.999, Math.max(0, Number(state.get("smooth")) || 0)),
    zoom: zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] ? /** @type {[number, number]} */ (zoom) : null,
  };
}

/**
 * Show the controls in a bar. Those that are there stay, since they may have the focus.
 * @param {import("./app.js").App} app
 * @param {Element} bar
 * @param {{metrics: string[], parameters?: string[]}} [names] metrics for the axis, and
 *   parameters to group by, none if there is nothing to group
 */
export function showControls({ state }, bar, names = { metrics: [] }) {
  const { metrics, parameters } = names;
  const options = optionsOf(state);
  const axes = [["", "A metric"], ...metrics.slice(0, MOST_NAMES).map((name) => [`metric:${name}`, text(name, 60)])];
  const across = options.x.startsWith("metric:") ? options.x : "";
  const isGrouped = GROUPING.some((name) => state.get(name) !== "");
  if (bar.firstChild) {
    fill(/** @type {HTMLSelectElement} */ (bar.querySelector("select[name=across]")), axes, across);
    bar.querySelector(".group-button")?.classList.toggle("is-on", isGrouped);
    const zoom = bar.querySelector(".zoom-reset");
    if (zoom) /** @type {HTMLElement} */ (zoom).hidden = options.zoom === null;
    for (const input of bar.querySelectorAll("input")) {
      if (input.name === "x") input.checked = input.value === options.x;
      else if (input.name === "logx") input.checked = state.get("logx") === "1";
      else if (input.name === "logy") input.checked = options.isLogY;
      else if (input.type === "search" && input !== document.activeElement) input.value = state.get("metrics");
      else if (input.type === "range" && (options.smoothing === null || input !== document.activeElement)) input.value = String(options.smoothing ?? 0);
    }
    showSmoothing(/** @type {Element} */ (bar.querySelector(".smoothing")), options.smoothing);
    return;
  }
  const smooth = throttle(80, (/** @type {string} */ value) => state.set({ smooth: value }, { replace: true }));
  const filter = throttle(200, (/** @type {string} */ value) => state.set({ metrics: value || null }, { replace: true }));
  const toggle = (/** @type {string} */ name, /** @type {string} */ label, /** @type {boolean} */ isOn) =>
    h("label", { class: "option" }, h("input", { type: "checkbox", name, checked: isOn, onchange: (/** @type {any} */ event) => state.set({ [name]: event.target.checked ? "1" : null }) }), label);
  replace(
    bar,
    h("input", { type: "search", class: "input metric-filter", placeholder: "Find metrics", "aria-label": "Find metrics", "data-search": true, value: state.get("metrics"), oninput: (/** @type {any} */ event) => filter(event.target.value) }),
    h(
      "span",
      { class: "segments", role: "radiogroup", "aria-label": "Horizontal axis" },
      [["step", "Step"], ["relative", "Relative"], ["wall", "Time"]].map(([value, label]) =>
        h("label", null, h("input", { type: "radio", name: "x", value, checked: value === options.x, onchange: () => state.set({ x: value === "step" ? null : value, zoom: null }) }), label),
      ),
    ),
    select("across", "A metric as the horizontal axis", axes, across, (value) => state.set({ x: value || null, zoom: null })),
    parameters ? menuButton([icon("group"), "Group"], () => groupChoices(state, names.parameters ?? []), { class: isGrouped ? "button group-button is-on" : "button group-button", "aria-label": "Group" }) : null,
    h("span", { class: "field" }, toggle("logy", "Log y", options.isLogY), toggle("logx", "Log x", state.get("logx") === "1")),
    h(
      "span",
      { class: "field smoothing" },
      "Smoothing",
      h("button", { type: "button", class: "button small quiet", title: "Smooth long curves with noise", "aria-label": "Automatic smoothing", onclick: () => state.set({ smooth: null }, { replace: true }) }, "Auto"),
      h("input", { type: "range", min: "0", max: "0.99", step: "0.01", "aria-label": "Smoothing", value: String(options.smoothing ?? 0), oninput: (/** @type {any} */ event) => smooth(event.target.value) }),
      h("output", { class: "smooth-value" }),
    ),
    h("button", { type: "button", class: "button small zoom-reset", hidden: options.zoom === null, onclick: () => state.set({ zoom: null }) }, "Reset zoom"),
  );
  showSmoothing(/** @type {Element} */ (bar.querySelector(".smoothing")), options.smoothing);
}

/** @param {Element} field @param {number | null} smoothing */
function showSmoothing(field, smoothing) {
  const [button, range, output] = field.children;
  output.textContent = smoothing === null ? "" : smoothing === 0 ? "off" : smoothing.toFixed(2);
  range.setAttribute("aria-valuetext", smoothing === null ? "automatic" : output.textContent);
  button.setAttribute("aria-pressed", String(smoothing === null));
}

/**
 * Create the choices of what lines are told apart by, and of what is one line.
 * @param {import("./state.js").State} state
 * @param {string[]} parameters
 */
function groupChoices(state, parameters) {
  const by = [["config", "Configuration"], ["group", "Group"], ["status", "Status"], ...parameters.slice(0, MOST_NAMES).map((name) => [`parameters.${name}`, text(name, 60)])];
  const choice = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ none) => {
    const value = state.get(name);
    const made = select(name, label, [["", none], ...by], value, (chosen) => {
      state.set({ [name]: chosen || null });
      band.hidden = state.get("group") === "";
    });
    return h("label", { class: "group-choice" }, h("span", null, label), made);
  };
  const band = h("label", { class: "group-choice", hidden: state.get("group") === "" }, h("span", null, "Band"), select("band", "Band around the mean", BANDS, optionsOf(state).band, (value) => state.set({ band: value === "range" ? null : value })));
  return h("div", { class: "group-choices" }, choice("color", "Colour", "Each trial"), choice("dash", "Dashes", "None"), choice("facet", "A chart for each", "All in one"), choice("group", "One line for each", "Trial"), band);
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string[][]} choices
 * @param {string} value
 * @param {(value: string) => void} choose
 */
function select(name, label, choices, value, choose) {
  const made = h("select", { name, class: "select", "aria-label": label, title: label, onchange: (/** @type {any} */ event) => choose(event.target.value) });
  fill(made, choices, value);
  return made;
}

/**
 * Set the options of a menu, including the value from the URL.
 * @param {HTMLSelectElement} select
 * @param {string[][]} choices
 * @param {string} value
 */
function fill(select, choices, value) {
  const all = choices.some(([one]) => one === value) ? choices : [...choices, [value, text(value.startsWith("metric:") ? value.slice(7) : labelOf(value), 60)]];
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
