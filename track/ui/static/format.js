/** Formatting of values: numbers, times, durations and arbitrary names. */

const LONGEST = 300;
/** The most characters of a text in a cell; its title shows more. */
const LONGEST_TITLE = 2000;

/**
 * Format a number with the given number of significant digits.
 * @param {unknown} value a number, or "NaN", "Infinity", "-Infinity" as the server writes them
 * @param {number} [digits]
 * @param {boolean} [isAligned] whether to keep trailing zeros, so that decimal points align
 * @returns {string}
 */
export function number(value, digits = 4, isAligned = false) {
  const x = typeof value === "number" ? value : toNumber(value);
  if (x === null) return text(value);
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e7) return minus(String(x));
  if (size >= 1e7 || size < 1e-4) return minus(x.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e"));
  const written = x.toPrecision(Math.max(digits, Math.ceil(Math.log10(size))));
  return minus(isAligned && !written.includes("e") ? written : String(Number(written)));
}

/** Format a number for an axis, with long integers in groups of three digits.
 * @param {number} value
 * @param {number} [digits]
 */
export function tick(value, digits) {
  const written = number(value, digits);
  return /^−?\d{5,}$/.test(written) ? count(written) : written;
}

const MOST_DIGITS = 16;

/** Format the numbers of an axis, with as many digits as tell them apart; others are left out.
 * @param {(number | null)[]} values
 * @returns {string[]}
 */
export function ticks(values) {
  const known = values.map((value) => (value === null || !Number.isFinite(value) ? null : value));
  const n = new Set(known).size;
  for (let digits = 4; ; digits += 1) {
    const written = known.map((value) => (value === null ? "" : tick(value, digits)));
    if (new Set(written).size === n || digits === MOST_DIGITS) return written;
    if (known.every((value) => value === null || (Number.isInteger(value) && Math.abs(value) < 1e12))) return known.map((value) => (value === null ? "" : minus(count(value))));
  }
}

/** @param {string} text */
function minus(text) {
  return text.replace(/^-/, "−").replace("e-", "e−");
}

/**
 * Return the number that the server sent, null for anything else.
 * @param {unknown} value
 */
export function toNumber(value) {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
  return null;
}

/**
 * Format any logged value on one line, with control characters made visible.
 * @param {unknown} value
 * @param {number} [longest]
 * @returns {string}
 */
export function text(value, longest = LONGEST) {
  if (value === null || value === undefined) return "";
  const written = typeof value === "string" ? value : typeof value === "number" ? number(value) : JSON.stringify(value);
  return cut(visible(written ?? ""), longest);
}

/** Format the name of a metric; one that cannot be seen is quoted.
 * @param {string} name
 * @param {number} [longest]
 */
export function nameText(name, longest) {
  const written = text(name, longest);
  return written.trim() === "" ? `“${written}”` : written;
}

/** Format a value for the title of its cell, which may be longer than the cell.
 * @param {unknown} value
 */
export function title(value) {
  if (typeof value === "number") return String(value);
  return text(value, LONGEST_TITLE);
}

/** @param {string} written @param {number} longest */
export function cut(written, longest) {
  return written.length > longest ? `${written.slice(0, longest - 1)}…` : written;
}

/** Replace control characters, including those that change text direction, by visible symbols.
 * @param {string} written
 */
export function visible(written) {
  return written
    .replace(/[\u0000-\u001f]/g, (one) => String.fromCodePoint(0x2400 + one.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, (one) => `⟨${one.charCodeAt(0).toString(16)}⟩`);
}

const DAY = 86400;

/** @type {number | null} */
let moment = null;

/** Set the moment for which ages and runtimes are computed; null is now.
 * @param {number | null} ms since 1970
 */
export function setMoment(ms) {
  moment = ms;
}

/** Return the time of the current moment, in ms since 1970. */
export function now() {
  return moment ?? Date.now();
}

/**
 * Format a duration with its two largest units.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 0.0995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(Math.floor(s % 60))}s`;
  if (s < DAY) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / DAY)}d ${two(Math.floor((s % DAY) / 3600))}h`;
}

/** @param {number} n */
const two = (n) => String(n).padStart(2, "0");

/**
 * Format the time since a moment, in one unit.
 * @param {number | null | undefined} ms since 1970
 */
export function ago(ms) {
  if (ms === null || ms === undefined) return "";
  const s = Math.max(0, (now() - ms) / 1000);
  if (s < 1) return "now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < DAY) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / DAY)} d ago`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** Format a time of day, with the date unless it is today.
 * @param {number | null | undefined} ms since 1970
 */
export function time(ms) {
  if (ms === null || ms === undefined) return "";
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "";
  const clock = CLOCK.format(date);
  return date.toDateString() === new Date().toDateString() ? clock : `${DATE.format(date)}, ${clock}`;
}

/** Format a time of day alone.
 * @param {number} ms since 1970
 */
export function clock(ms) {
  return CLOCK.format(new Date(ms));
}

/** Format a time in full, for titles.
 * @param {number | null | undefined} ms since 1970
 */
export function fullTime(ms) {
  if (ms === null || ms === undefined) return "";
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().replace("T", " ").replace("Z", " UTC");
}

/** Format a count with spaces between thousands.
 * @param {number | null | undefined} n
 */
export function count(n) {
  return n === null || n === undefined ? "" : String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** Format a file size.
 * @param {number | null | undefined} n
 */
export function bytes(n) {
  if (n === null || n === undefined) return "";
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = n;
  let unit = "";
  for (unit of units) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Format a count with a noun: "1 trial", "2 trials".
 * @param {number} n
 * @param {string} noun
 */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Return the label of a trial: its name, or the beginning of its uid.
 * @param {{uid: string, name?: string | null, revision?: number}} trial
 */
export function nameOf(trial) {
  const name = trial.name ? text(trial.name) : trial.uid.slice(0, 8);
  return trial.revision ? `${name} · r${trial.revision}` : name;
}
