/** Dialogs and menus, using the browser's own, so that focus and Escape work as expected. */

import { h, iconButton } from "./dom.js";

/**
 * Open a dialog, which is removed when it is closed.
 * @param {string} title
 * @param {import("./dom.js").Child} content
 * @param {{wide?: boolean}} [how]
 */
export function openDialog(title, content, { wide = false } = {}) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-labelledby": "dialog-title" },
    h("div", { class: "dialog-head" }, heading, iconButton("close", "Close", () => dialog.close())),
    h("div", { class: "dialog-body", tabindex: "0", role: "region", "aria-labelledby": "dialog-title" }, content),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (event.target === dialog) dialog.close(); // a click outside of it
  });
  document.body.append(dialog);
  dialog.showModal();
  return /** @type {HTMLDialogElement} */ (/** @type {unknown} */ (dialog));
}

/**
 * Create a button that opens a panel below it.
 * @param {import("./dom.js").Child} label
 * @param {() => import("./dom.js").Child} content called whenever the panel opens
 * @param {Record<string, any>} [props] the properties of the button
 */
export function menuButton(label, content, props = {}) {
  const id = `menu-${(menuButton.count += 1)}`;
  const panel = h("div", { class: "menu", popover: "auto", id, role: "dialog", "aria-label": props["aria-label"] ?? props.title ?? "Options" });
  const button = h("button", { type: "button", class: "button", "aria-expanded": "false", "aria-controls": id, ...props }, label);
  button.addEventListener("click", () => panel.togglePopover());
  panel.addEventListener("toggle", (/** @type {any} */ event) => {
    const isOpen = event.newState === "open";
    button.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    panel.replaceChildren(h("div", { class: "menu-body" }, content()));
    place(panel, button);
    /** @type {HTMLElement | null} */ (panel.querySelector("input, button, a, select"))?.focus();
  });
  const both = h("span", { class: "menu-button" }, button, panel);
  return Object.assign(both, { button, panel, close: () => panel.matches(":popover-open") && panel.hidePopover() });
}
menuButton.count = 0;

/**
 * Position a panel below its anchor, inside the window.
 * @param {HTMLElement} panel
 * @param {Element} anchor
 */
export function place(panel, anchor) {
  const box = anchor.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, innerWidth - width - 8));
  const below = box.bottom + 4;
  const top = below + height > innerHeight - 8 ? Math.max(8, box.top - height - 4) : below;
  panel.style.left = `${left}px`;
  panel.style.top = `${top}px`;
}

/**
 * Open a panel next to an element; closing it removes it.
 * @param {Element} anchor
 * @param {string} label
 * @param {import("./dom.js").Child} content
 */
export function openPanel(anchor, label, content) {
  const panel = h("div", { class: "menu", popover: "auto", role: "dialog", "aria-label": label }, h("div", { class: "menu-body" }, content));
  document.body.append(panel);
  panel.addEventListener("toggle", (/** @type {any} */ event) => event.newState === "closed" && panel.remove());
  panel.showPopover();
  place(panel, anchor);
  return panel;
}
