/** What tells lines apart: their colour, their dashes, and the chart that they are in. */

import { paint } from "./colors.js";
import { number, toNumber } from "./format.js";
import { groupsOf } from "./groups.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./groups.js").Group} Group */
/**
 * The values of a parameter, in order, and the place among them of each trial's value.
 * @typedef {{label: string, values: {key: string, label: string}[], places: Map<string, number>}} Channel
 * @typedef {{color: Channel | null, dash: Channel | null, facet: Channel | null}} Channels
 */

/** The parameters of the URL that say by what lines are told apart or taken together. */
export const CHANNELS = /** @type {const} */ (["color", "dash", "facet"]);
export const GROUPING = ["group", ...CHANNELS];

/** The number of colours; more values that are numbers get shades. */
const MOST_COLORS = 8;

/** Return what a grouping is called. @param {string} by */
export function labelOf(by) {
  const name = by.slice(by.indexOf(".") + 1);
  return by === "config" ? "Configuration" : by.includes(".") ? name : by.charAt(0).toUpperCase() + by.slice(1);
}

/**
 * @param {Row[]} rows
 * @param {(name: string) => string} get returns a parameter of the URL
 * @returns {Channels}
 */
export function channelsOf(rows, get) {
  const [color, dash, facet] = CHANNELS.map((name) => channelOf(rows, get(name)));
  return { color, dash, facet };
}

/** @param {Row[]} rows @param {string} by @returns {Channel | null} */
function channelOf(rows, by) {
  if (by === "") return null;
  const groups = ordered(groupsOf(rows, by));
  const places = new Map(groups.flatMap(({ members }, place) => members.map((row) => [row.uid, place])));
  return { label: labelOf(by), values: groups.map(({ key, label }) => ({ key, label: isNumber(key) ? number(Number(key)) : label })), places };
}

/** Sort groups by their values, those without one last. @param {Group[]} groups */
export function ordered(groups) {
  groups.sort(({ key: a }, { key: b }) => (a === "" ? 1 : b === "" ? -1 : a.localeCompare(b, "en", { numeric: true })));
  return groups.every(({ key }) => isNumber(key)) ? groups.sort((a, b) => Number(a.key) - Number(b.key)) : groups;
}

/** @param {string} key */
function isNumber(key) {
  return key !== "" && toNumber(Number(key)) !== null && Number.isFinite(Number(key));
}

/**
 * Return the look of one value of a channel.
 * @param {"color" | "dash"} kind
 * @param {Channel} channel
 * @param {number} place
 */
export function lookAt(kind, { values }, place) {
  if (kind === "dash") return { dash: place };
  const isScale = values.length > MOST_COLORS && values.every(({ key }) => isNumber(key));
  return isScale ? { share: place / (values.length - 1), dash: 0 } : { color: place, dash: 0 };
}

/**
 * Give lines the looks of their values. Lines without any keep their own.
 * @param {Channels} channels
 * @param {Iterable<string>} uids of trials
 * @param {Group[] | null} groups drawn instead of the trials
 */
export function paintBy({ color, dash }, uids, groups) {
  /** @type {Map<string, import("./colors.js").Look>} */
  const looks = new Map();
  if (color || dash) {
    const lines = [...[...uids].map((uid) => [uid, uid]), ...(groups ?? []).map(({ uid, members }) => [uid, members[0].uid])];
    for (const [line, uid] of lines) {
      const [first, then] = [color?.places.get(uid), dash?.places.get(uid)];
      looks.set(line, { ...(color && first !== undefined ? lookAt("color", color, first) : {}), ...(dash && then !== undefined ? lookAt("dash", dash, then) : {}) });
    }
  }
  paint(looks);
}

/**
 * Return groups that are the same in everything that lines are grouped or told apart by: a line has
 * one colour, one pattern of dashes and one chart.
 * @param {Row[]} rows
 * @param {(name: string) => string} get returns a parameter of the URL
 * @returns {Group[] | null}
 */
export function linesOf(rows, get) {
  if (get("group") === "") return null;
  return CHANNELS.map(get).filter(Boolean).reduce((groups, by) => groups.flatMap((group) => {
    const parts = groupsOf(group.members, by);
    return parts.length < 2 ? [group] : parts.map((part) => ({ ...part, uid: `${group.uid}/${part.key}`, label: `${group.label} · ${labelOf(by)} ${part.label}` }));
  }), groupsOf(rows, get("group")));
}
