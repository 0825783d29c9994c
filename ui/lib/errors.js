// Errors in words: in the reader's language where the code is known, else in
// the server's own words.

import { ApiError } from "./api.js";
import { sentence } from "./coded_words.js";
import { fill } from "./fill.js";
import { coded, isKey, t } from "./i18n.js";

/**
 * Whether it was not EMCP that answered, if anything did: it or what is in
 * front of it may be starting.
 * @param {unknown} error
 */
export function isAway(error) {
  return error instanceof ApiError && (error.code === "no_answer" || error.code === "unexpected_answer");
}

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const key = `error.${error.code}`;
  const words = isKey(key) ? t(key) : coded.value[key];
  return words === undefined ? sentence(error.message) : fill(words, error.args);
}
