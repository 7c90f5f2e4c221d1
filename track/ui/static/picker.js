/** The column picker, which chooses the columns of the table and their order. */

import { h, iconButton, replace } from "./dom.js";
import { columnOf, fixedColumns } from "./columns.js";
import { text } from "./format.js";

const MOST_LISTED = 200;

/**
 * @param {import("./app.js").App} app
 * @param {import("./api.js").Columns | null} known
 * @param {string[]} chosen ids of the shown columns
 */
export function columnPicker(app, known, chosen) {
  const { state } = app;
  let ids = [...chosen];
  const { parameters = [], metrics = [], tags = [] } = known ?? {};
  const sections = [
    { label: "Trial", ids: fixedColumns() },
    { label: "Parameters that differ", ids: parameters.filter((one) => !one.constant).map((one) => `parameters.${one.name}`) },
    { label: "Parameters that are equal", ids: parameters.filter((one) => one.constant).map((one) => `parameters.${one.name}`) },
    { label: "Metrics", ids: metrics.flatMap((name) => [`metrics.${name}`, `min:metrics.${name}`, `max:metrics.${name}`]) },
    { label: "Tags", ids: tags.map((name) => `tags.${name}`) },
  ];
  const filter = h("input", { type: "search", class: "input", placeholder: "Find a column", "aria-label": "Find a column", oninput: () => list() });
  const holder = h("div", { class: "picker-list" });
  const order = h("ul", { class: "picker-order", "aria-label": "Order of the columns" });

  const change = (/** @type {string[]} */ next) => {
    ids = next;
    state.set({ columns: next.length ? next : ["status"] }, { replace: true });
    showOrder();
  };

  function list() {
    const wanted = /** @type {any} */ (filter).value.toLowerCase();
    replace(
      holder,
      sections.map((section) => {
        const found = section.ids.filter((id) => id.toLowerCase().includes(wanted) || (columnOf(id)?.label ?? "").toLowerCase().includes(wanted));
        if (!found.length) return null;
        return h(
          "fieldset",
          null,
          h("legend", null, section.label),
          found.slice(0, MOST_LISTED).map((id) =>
            h("label", { class: "option" }, h("input", { type: "checkbox", checked: ids.includes(id), onchange: (/** @type {any} */ event) => change(event.target.checked ? [...ids, id] : ids.filter((one) => one !== id)) }), h("span", { class: "clip" }, columnOf(id)?.label ?? text(id))),
          ),
          found.length > MOST_LISTED ? h("p", { class: "hint" }, `${found.length - MOST_LISTED} more: type a part of the name`) : null,
        );
      }),
    );
  }

  function showOrder() {
    const move = (/** @type {number} */ place, /** @type {number} */ by) => {
      const next = [...ids];
      const [id] = next.splice(place, 1);
      next.splice(place + by, 0, id);
      change(next);
    };
    replace(
      order,
      ids.map((id, place) => {
        const label = columnOf(id)?.label ?? text(id);
        return h(
          "li",
          null,
          h("span", { class: "clip" }, label),
          place > 0 ? iconButton("back", `Move ${label} to the left`, () => move(place, -1)) : null,
          place < ids.length - 1 ? iconButton("next", `Move ${label} to the right`, () => move(place, 1)) : null,
          iconButton("close", `Remove ${label}`, () => {
            change(ids.filter((one) => one !== id));
            list();
          }),
        );
      }),
    );
  }

  list();
  showOrder();
  const reset = h("button", { type: "button", class: "button small", onclick: () => {
    state.set({ columns: null }, { replace: true });
    ids = [];
    list();
    replace(order, h("li", { class: "hint" }, "chosen by what differs"));
  } }, "Reset");
  return h("div", { class: "picker" }, h("div", { class: "picker-side" }, filter, holder), h("div", { class: "picker-side" }, h("div", { class: "picker-head" }, h("strong", null, "Shown"), reset), order));
}
