// Keeps a draft while its tab is open, so that a reload loses nothing. It
// belongs to who typed it: another person who signs in does not see it.
// Secrets are not to be put in here.

import { untracked } from "../vendor/preact.js";
import { session } from "./session.js";

/** @param {string} name */
const keyOf = (name) => `emcp.draft.${untracked(() => session.value.caller?.name)}.${name}`;

/**
 * @template T
 * @param {string} name
 * @returns {T | null}
 */
export function recallDraft(name) {
  try {
    const text = sessionStorage.getItem(keyOf(name));
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function keepDraft(name, value) {
  try {
    sessionStorage.setItem(keyOf(name), JSON.stringify(value));
  } catch {
    // Full or forbidden: then a reload is asked about, and loses it.
  }
}

/** @param {string} name */
export function dropDraft(name) {
  try {
    sessionStorage.removeItem(keyOf(name));
  } catch {
    // As above.
  }
}
