// Sentences that EMCP sends with a code. English readers get the sentence
// itself, which knows most; others the words for its code, where there are any
// and the values they need came along.

import { sentence } from "./errors.js";
import { fill } from "./fill.js";
import { coded } from "./i18n.js";

/** @typedef {Record<string, string | number | null> | null | undefined} Args */

/**
 * @param {"reason" | "event" | "attention" | "notice"} kind
 * @param {string | undefined} code
 * @param {Args} args
 * @param {string} original EMCP's own sentence
 */
export function inWords(kind, code, args, original) {
  const words = code === undefined ? undefined : coded.value[`${kind}.${code}`];
  if (words === undefined) return sentence(original);
  const values = present(args);
  // A value that did not come would leave its name in the sentence.
  const isWhole = [...words.matchAll(/\{(\w+)\}/g)].every(([, name = ""]) => Object.hasOwn(values, name));
  return isWhole ? fill(words, values) : sentence(original);
}

/**
 * A name or text of EMCP's own that is not a sentence.
 * @param {string} key
 * @param {string} original
 */
export function ownWords(key, original) {
  return coded.value[key] ?? original;
}

/**
 * @param {Args} args
 * @returns {Record<string, string | number>}
 */
function present(args) {
  const entries = Object.entries(args ?? {}).flatMap(([key, value]) => (value === null ? [] : [/** @type {[string, string | number]} */ ([key, value])]));
  return Object.fromEntries(entries);
}
