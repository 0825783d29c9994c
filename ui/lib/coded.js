// Sentences that EMCP sends with a code, in the reader's language.

import { codedWords, faultDetail as detail } from "./coded_words.js";
import { coded, language } from "./i18n.js";

/** @typedef {import("./types.js").Args} Args */

const tongue = () => ({ words: coded.value, language: language.value });

/**
 * @param {import("./coded_words.js").Kind} kind
 * @param {string | undefined} code
 * @param {Args} args
 * @param {string} original EMCP's own sentence
 */
export function inWords(kind, code, args, original) {
  return codedWords(tongue(), kind, code, args, original);
}

/**
 * Why something is so.
 * @param {import("./types.js").Reasoned} why
 */
export function reasonWords({ reason, reason_code, reason_args }) {
  return inWords("reason", reason_code, reason_args, reason);
}

/**
 * What happened.
 * @param {import("./types.js").ServerEvent} event
 */
export function eventWords(event) {
  return inWords("event", event.code, "args" in event ? event.args : undefined, event.message);
}

/**
 * What went wrong, beneath a heading that names the kind of failure.
 * @param {import("./types.js").Fault} fault
 */
export function faultDetail(fault) {
  return detail(tongue(), fault);
}

/**
 * A name or text of EMCP's own that is not a sentence.
 * @param {string} key
 * @param {string} original
 */
export function ownWords(key, original) {
  return coded.value[key] ?? original;
}
