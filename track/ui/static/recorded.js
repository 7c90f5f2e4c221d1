/** The data of a saved report, which takes the place of the server. */

/**
 * @typedef {{store: any, columns: any, rows: any[], trials: Record<string, any>,
 *   series: {head: any, data: string}[]}} Recorded
 */

const element = typeof document === "undefined" ? null : document.getElementById("track-recorded");

/** The contents of this report, null on a page from a server. @type {Recorded | null} */
export const recorded = element ? JSON.parse(element.textContent ?? "null") : null;

/**
 * Answer a request as the server would.
 * @param {string} url
 */
export function answerFrom(url) {
  const { pathname, searchParams } = new URL(url, "http://report/");
  const [, , what, uid] = pathname.split("/");
  const known = /** @type {Recorded} */ (recorded);
  if (what === "store") return json(known.store);
  if (what === "columns") return json(known.columns);
  if (what === "moments") return json({ first: null, last: null, marks: [] });
  if (what === "trials") return rows(known, searchParams);
  if (what === "trial") {
    const trial = known.trials[decodeURIComponent(uid ?? "")];
    return trial ? json(trial) : refuse(404, "This report does not contain that trial.");
  }
  if (what === "series") return series(known, searchParams);
  return refuse(404, "A saved report does not contain this. Open the store with `track ui`.");
}

/** @param {any} value */
function json(value) {
  return new Response(JSON.stringify(value));
}

/** @param {number} status @param {string} error */
function refuse(status, error) {
  return new Response(JSON.stringify({ error }), { status });
}

/** @param {Recorded} known @param {URLSearchParams} query */
function rows(known, query) {
  /** @type {((row: any) => boolean)[]} */
  const conditions = [];
  for (const condition of query.getAll("where")) {
    const [, uids, name] = /^uid=(.+)$|^name~\(\?i\)(.+)$/s.exec(condition) ?? [];
    if (uids) conditions.push((row) => uids.split(",").includes(row.uid));
    else if (name) conditions.push((row) => new RegExp(name, "i").test(row.name ?? ""));
    else return refuse(400, "A saved report cannot be searched. Open the store with `track ui`.");
  }
  const isArchived = ["1", "true"].includes(query.get("archived") ?? "");
  const [project, group, sort] = ["project", "group", "sort"].map((name) => query.get(name));
  const found = known.rows.filter(
    (row) => row.archived === isArchived && (!project || row.project === project) && (!group || row.group === group) && conditions.every((holds) => holds(row)),
  );
  if (sort) sortBy(found, sort.replace(/^-/, ""), sort.startsWith("-") || query.get("descending") === "1");
  const offset = Number(query.get("offset") ?? 0);
  const limit = Number(query.get("limit") ?? 200);
  return json({ position: known.store.position, total: found.length, offset, rows: found.slice(offset, offset + limit) });
}

/** Sort as the server does: trials without a value come last in either direction.
 * @param {any[]} found @param {string} path @param {boolean} isDescending
 */
function sortBy(found, path, isDescending) {
  const [section, ...names] = path.match(/\["(?:[^"\\]|\\.)*"\]|[^.[]+/g) ?? [path];
  const field = section === "curves" ? { minimum: "min", maximum: "max", length: "count", step: "step" }[names.pop() ?? ""] : "last";
  const name = names.map((part) => (part.startsWith("[") ? JSON.parse(part.slice(1, -1)) : part)).join(".");
  /** @param {any} row */
  const valueOf = (row) => (section === "metrics" || section === "curves" ? row.metrics[name]?.[field ?? ""] : name ? row[section]?.[name] : row[section]);
  const isMissing = (/** @type {any} */ value) => value === undefined || value === null || Number.isNaN(value);
  const sign = isDescending ? -1 : 1;
  found.sort((left, right) => {
    const [a, b] = [valueOf(left), valueOf(right)];
    if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
    if (typeof a !== typeof b) return String(a) < String(b) ? -sign : sign;
    return a < b ? -sign : a > b ? sign : 0;
  });
}

/** Build the response of series.py: a length, a header, and columns of float64.
 * @param {Recorded} known @param {URLSearchParams} query
 */
function series(known, query) {
  const [trials, metrics] = ["trial", "metric"].map((name) => new Set(query.getAll(name)));
  const found = known.series.filter(({ head }) => trials.has(head.trial) && metrics.has(head.metric));
  const header = new TextEncoder().encode(
    JSON.stringify({ position: known.store.position, series: found.map(({ head }) => head) }),
  );
  const length = header.length + ((8 - ((header.length + 4) % 8)) % 8);
  const start = new Uint8Array(4 + length).fill(32);
  new DataView(start.buffer).setUint32(0, length, true);
  start.set(header, 4);
  return new Response(new Blob([start, ...found.map(({ data }) => bytes(data))]));
}

/** @param {string} data base64 */
function bytes(data) {
  return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
}
