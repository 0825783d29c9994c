// What people have of what they may have. Pure.

/** @typedef {import("./types.js").Person} Person */
/** @typedef {import("./types.js").People} People */

/** From here on somebody should know that there is not much left. */
const NEARLY = 90;

/**
 * How much of a limit is used, in percent; nothing where there is no limit.
 * More than all of it is possible where the limit was lowered.
 * @param {number} used
 * @param {number | null} limit
 * @returns {{ percent: number, level: "fine" | "nearly" | "full" } | null}
 */
export function shareOf(used, limit) {
  if (limit === null) return null;
  const percent = limit === 0 ? 100 : Math.min(100, Math.round((used / limit) * 100));
  return { percent, level: used >= limit ? "full" : percent >= NEARLY ? "nearly" : "fine" };
}
