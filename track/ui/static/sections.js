/** Sections of metrics by the prefix of their names. */

/**
 * Return the metrics by prefix, beginning with those that have none or share it with no other.
 * @param {string[]} names
 * @returns {[string, string[]][]}
 */
export function sections(names) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const name of names) {
    const end = name.search(/[/.]/);
    const prefix = end > 0 ? name.slice(0, end) : "";
    found.set(prefix, [...(found.get(prefix) ?? []), name]);
  }
  for (const [prefix, members] of found) {
    if (prefix === "" || members.length > 1) continue;
    found.delete(prefix); // a single chart needs no heading
    found.set("", [...(found.get("") ?? []), ...members]);
  }
  return [...found].sort(([a], [b]) => (a === "" ? -1 : b === "" ? 1 : a.localeCompare(b)));
}
