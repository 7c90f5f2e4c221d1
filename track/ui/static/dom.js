/**
 * DOM elements without a framework: `h()` creates them, `replace()` replaces their children.
 *
 * Logged data enters the page as text, never as markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false | any[]} Child */

/**
 * Create an element.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [props] attributes; `on…` are listeners, `style` an object of
 *   CSS properties, which are set one by one because the page allows no style attribute
 * @param {...Child} children
 * @returns {HTMLElement & Record<string, any>}
 */
export function h(tag, props, ...children) {
  return /** @type {any} */ (fill(document.createElement(tag), props, children));
}

/** Create an SVG element, as `h()` creates HTML elements.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/**
 * @param {Element} element
 * @param {Record<string, any> | null | undefined} props
 * @param {Child[]} children
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") setStyle(/** @type {HTMLElement} */ (element), value);
    else if (name === "value" || name === "checked" || name === "indeterminate") {
      /** @type {any} */ (element)[name] = value;
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/**
 * Replace the children of an element.
 * @param {Element} element
 * @param {...Child} children
 */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Change elements, and return the focus to the one that has the same `data-key` afterwards.
 * @param {Element} root
 * @param {() => void} change
 */
export function keepingFocus(root, change) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const key = root.contains(focused) ? focused?.dataset.key : undefined;
  change();
  if (key) /** @type {HTMLElement | null} */ (root.querySelector(`[data-key="${CSS.escape(key)}"]`))?.focus();
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {Record<string, string>} properties names as in CSS, including `--variables`
 */
export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
}

const ICONS = {
  archive: "M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 9h3",
  back: "M9.5 3.5 5 8l4.5 4.5",
  chart: "M2.5 2.5v11h11M5 10l2.5-3 2 1.5L13 4",
  check: "M3 8.5 6.5 12 13 4.5",
  clock: "M8 2.2a5.8 5.8 0 1 0 .01 0M8 4.8V8l2.3 1.6",
  close: "M4 4l8 8M12 4l-8 8",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  down: "M4 6l4 4 4-4",
  download: "M8 2.5v7M5 7l3 3 3-3M3 13h10",
  filter: "M2.5 3.5h11L9.5 8.5V13l-3-1.5v-3z",
  group: "M2.5 3.5h11M5 7h8.5M5 10h8.5M2.5 13.5h11",
  help: "M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.8v.1",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  auto: "M8 2.5a5.5 5.5 0 1 0 .01 0M8 2.5v11M8 5h4M8 8h5.2M8 11h4",
  next: "M6.5 3.5 11 8l-4.5 4.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M4.5 3v10l8-5z",
  search: "M7 2.8a4.2 4.2 0 1 0 .01 0M10.2 10.2 13.5 13.5",
  sun: "M8 5.2a2.8 2.8 0 1 0 .01 0M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M12.6 3.4l-.7.7M4.1 11.9l-.7.7",
  table: "M2.5 3h11v10h-11zM2.5 6.3h11M2.5 9.6h11M6.5 3v10",
};

/**
 * Create a decorative icon; its meaning is given by text beside it or by a label.
 * @param {keyof typeof ICONS} name
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

/**
 * Create an icon-only button, whose label is read out and shown as its title.
 * @param {keyof typeof ICONS} name
 * @param {string} label
 * @param {(event: any) => void} onclick
 * @param {Record<string, any>} [props]
 */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/**
 * Call a function immediately, and then at most once per `ms` milliseconds. The last
 * call is never lost.
 * @template {any[]} A
 * @param {number} ms
 * @param {(...args: A) => void} call
 */
export function throttle(ms, call) {
  let due = 0;
  let timer = 0;
  return (/** @type {A} */ ...args) => {
    clearTimeout(timer);
    const wait = due - performance.now();
    if (wait <= 0) {
      due = performance.now() + ms;
      call(...args);
    } else {
      timer = setTimeout(() => {
        due = performance.now() + ms;
        call(...args);
      }, wait);
    }
  };
}

/** Return a sentence in which what stands between backquotes is code.
 * @param {string} sentence
 */
export function withCode(sentence) {
  return sentence.split("`").map((part, i) => (i % 2 ? h("code", null, part) : part));
}

/** Announce a text to screen readers.
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
}
