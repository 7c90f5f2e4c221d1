/** Ranges of axes. */

/**
 * Return a range around values that is neither empty nor infinite.
 * @param {number | null} low
 * @param {number | null} high
 * @param {boolean} isLog
 * @param {number} margin
 * @returns {[number, number]}
 */
export function spread(low, high, isLog, margin) {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return isLog ? [0.1, 10] : [0, 1];
  if (isLog) {
    const least = Math.max(low, Number.MIN_VALUE * 1e10);
    return least < high ? [least / 10 ** margin, high * 10 ** margin] : [least / 2, high * 2];
  }
  if (low === high) {
    const room = Math.abs(low) / 10 || 1;
    return [low - room, high + room];
  }
  const room = (high - low) * margin;
  return [low - room, high + room];
}
