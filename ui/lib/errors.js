// Errors in words: in the reader's language where the code is known, else in
// the server's own words.

import { ApiError } from "./api.js";
import { sentence } from "./coded_words.js";
import { coded, isKey, t } from "./i18n.js";

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const key = `error.${error.code}`;
  return isKey(key) ? t(key) : (coded.value[key] ?? sentence(error.message));
}
