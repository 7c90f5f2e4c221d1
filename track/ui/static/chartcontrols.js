/** How charts are drawn: the axes, the smoothing, the part that is zoomed in. All of it is in the URL. */

import { h, throttle } from "./dom.js";

/**
 * Return how charts are drawn, from the URL.
 * @param {import("./state.js").State} state
 * @returns {import("./chart.js").ChartOptions}
 */
export function optionsOf(state) {
  const x = state.get("x", "step");
  const zoom = state.get("zoom").split(",").map(Number);
  return {
    x: /** @type {any} */ (["step", "relative", "wall"].includes(x) ? x : "step"),
    isLogX: state.get("logx") === "1" && x !== "wall",
    isLogY: state.get("logy") === "1",
    smoothing: Math.min(0.999, Math.max(0, Number(state.get("smooth")) || 0)),
    zoom: zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] ? /** @type {[number, number]} */ (zoom) : null,
  };
}

/**
 * Make the controls. Those that are used just now are kept, with their focus.
 * @param {import("./app.js").App} app
 * @param {Element} [before] where they are already
 * @returns {import("./dom.js").Child}
 */
export function controls({ state }, before) {
  const options = optionsOf(state);
  if (before?.firstChild) {
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
    h("span", { class: "field" }, toggle("logy", "Log y", options.isLogY), toggle("logx", "Log x", state.get("logx") === "1")),
    h("label", { class: "field" }, "Smoothing", h("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(options.smoothing), oninput: (/** @type {any} */ event) => smooth(event.target.value) }), h("output", { class: "smooth-value" }, options.smoothing.toFixed(2))),
    h("button", { type: "button", class: "button small zoom-reset", hidden: options.zoom === null, onclick: () => state.set({ zoom: null }) }, "Whole range"),
  ];
}
