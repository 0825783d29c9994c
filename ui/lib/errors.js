// Errors in words: in the reader's language where the code is known, else in
// the server's own words.

import { ApiError } from "./api.js";
import { sentence } from "./coded_words.js";
import { fill } from "./fill.js";
import { coded, isKey, t } from "./i18n.js";

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const key = `error.${error.code}`;
  const words = isKey(key) ? t(key) : coded.value[key];
  return words === undefined ? sentence(error.message) : fill(words, error.args);
}
