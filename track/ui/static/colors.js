/**
 * One colour and dash pattern per trial, the same in every view.
 *
 * The colours are distinguishable with any kind of colour vision, by lightness where not by hue, and
 * have a contrast of 3:1 to the page (tests/unit/ui/test_colors.py). Beyond eight trials, lines are
 * dashed.
 */

const LIGHT = ["#0072b2", "#e8612c", "#709c84", "#830068", "#390ab0", "#b36be8", "#48340e", "#8a6a58"];
const DARK = ["#4f9dea", "#c1551c", "#5b9079", "#e86fae", "#8f62d0", "#5ff0ea", "#f2e35c", "#f5a9a0"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 5]];

/** @type {Map<string, number>} */
const slots = new Map();

/**
 * What a line looks like for what it has in common with others: a place among the colours or on a
 * scale of them, and among the dash patterns.
 * @typedef {{color?: number, share?: number, dash?: number}} Look
 */
/** @type {Map<string, Look>} */
let painted = new Map();

/** Set looks, for as long as a view shows them instead of one colour per trial.
 * @param {Map<string, Look>} looks
 */
export function paint(looks) {
  painted = looks;
}

/**
 * Assign colours to trials that are shown together. Each trial in turn gets the hue derived from its
 * uid, or the next free one, so everyone who opens a link sees the same colours.
 * @param {string[]} uids
 */
export function assign(uids) {
  const taken = new Set(uids.map((uid) => slots.get(uid)).filter((slot) => slot !== undefined));
  for (const uid of uids) {
    if (slots.has(uid)) continue;
    let slot = hash(uid) % LIGHT.length;
    const first = slot;
    for (let round = 0; taken.has(slot) && round < LIGHT.length * DASHES.length; round += 1) {
      const dash = Math.floor((round + 1) / LIGHT.length);
      slot = dash * LIGHT.length + ((first + round + 1) % LIGHT.length);
    }
    taken.add(slot);
    slots.set(uid, slot);
  }
}

/** @param {string} uid */
function hash(uid) {
  let value = 2166136261;
  for (let i = 0; i < uid.length; i += 1) value = Math.imul(value ^ uid.charCodeAt(i), 16777619);
  return (value ^ (value >>> 15)) >>> 0;
}

/**
 * Return the colour and dash pattern of a trial.
 * @param {string} uid
 * @returns {{color: string, dash: number[]}}
 */
export function lookOf(uid) {
  if (!slots.has(uid)) assign([uid]);
  const slot = slots.get(uid) ?? 0;
  return drawn({ color: slot % LIGHT.length, dash: Math.floor(slot / LIGHT.length), ...painted.get(uid) });
}

/** @param {Look} look */
export function drawn({ color = 0, share, dash = 0 }) {
  const palette = isDark() ? DARK : LIGHT;
  return { color: share === undefined ? palette[color % palette.length] : onScale(share), dash: DASHES[dash % DASHES.length] };
}

/** Return whether the page is currently dark. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Return the value of a style sheet variable, for use in a canvas.
 * @param {string} name
 */
export function variable(name) {
  const found = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const both = /^light-dark\((.*?),\s*(.*?)\)$/.exec(found);
  return both ? (isDark() ? both[2] : both[1]) : found;
}

/**
 * Return a colour of a scale that is readable with any kind of colour vision.
 * @param {number} share from 0 to 1
 */
export function shade(share) {
  return isDark() ? between([60, 74, 120], [250, 220, 90], share) : between([190, 205, 235], [20, 40, 110], share);
}

/** Return a colour of a scale for thin lines, which stand out from the page at both ends.
 * @param {number} share from 0 to 1
 */
function onScale(share) {
  return isDark() ? between([118, 110, 224], [250, 224, 110], share) : between([214, 116, 40], [52, 12, 112], share);
}

/** @param {number[]} from @param {number[]} to @param {number} share */
function between(from, to, share) {
  const at = Math.min(1, Math.max(0, share));
  return `rgb(${from.map((low, i) => Math.round(low + (to[i] - low) * at)).join(" ")})`;
}
