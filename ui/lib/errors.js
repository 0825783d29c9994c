// Errors in words: in the reader's language where the code is known, else in
// the server's own words.

import { ApiError } from "./api.js";
import { coded, isKey, t } from "./i18n.js";

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const key = `error.${error.code}`;
  return isKey(key) ? t(key) : (coded.value[key] ?? sentence(error.message));
}

/**
 * The API's messages begin in lower case and end without a stop.
 * @param {string} text
 */
export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?:。]$/.test(first) ? first : `${first}.`;
}
