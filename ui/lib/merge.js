// What two people changed of the same thing: what was there before, what is
// typed here, and what somebody else has saved meanwhile. Pure.

/** @typedef {import("./types.js").EnvVar} EnvVar */

/**
 * @param {unknown} one
 * @param {unknown} other
 */
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * The fields that differ.
 * @template {object} F
 * @param {F} before
 * @param {F} after
 * @returns {(keyof F)[]}
 */
export function changedFields(before, after) {
  const keys = /** @type {(keyof F)[]} */ (Object.keys(after));
  return keys.filter((key) => !isSame(before[key], after[key]));
}

/**
 * Theirs, with what was changed here on top.
 * @template {object} F
 * @param {F} before
 * @param {F} mine
 * @param {F} theirs
 * @returns {F}
 */
export function mergedFields(before, mine, theirs) {
  const changed = changedFields(before, mine).map((key) => [key, mine[key]]);
  return { ...theirs, ...Object.fromEntries(changed) };
}

/**
 * The variables whose key is new, gone, or has another value.
 * @param {EnvVar[]} before
 * @param {EnvVar[]} after
 * @returns {string[]}
 */
export function changedKeys(before, after) {
  const of = (/** @type {EnvVar[]} */ vars, /** @type {string} */ key) => vars.find((one) => one.key === key);
  const keys = new Set([...before, ...after].map(({ key }) => key));
  return [...keys].filter((key) => !isSame(of(before, key), of(after, key)));
}

/**
 * Their variables, with what was changed here on top. A secret that is kept
 * comes without a value, and so is no change.
 * @param {EnvVar[]} before
 * @param {EnvVar[]} mine
 * @param {EnvVar[]} theirs
 * @returns {EnvVar[]}
 */
export function mergedVars(before, mine, theirs) {
  const changed = new Set(changedKeys(before, mine));
  const kept = theirs.map((one) => (changed.has(one.key) ? mine.find(({ key }) => key === one.key) : one));
  const added = mine.filter(({ key }) => changed.has(key) && !theirs.some((one) => one.key === key));
  return [...kept.filter((one) => one !== undefined), ...added];
}
