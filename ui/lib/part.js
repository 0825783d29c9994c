// Parts of the API that an EMCP may not have: an older one behind a newer page
// that a browser kept, for example. What is not there is not asked for again
// and not shown.

import { ApiError, call } from "./api.js";

/** @type {Set<string>} */
const missing = new Set();

/** What an EMCP answers that does not know a path, as opposed to a thing. */
const UNKNOWN_PATH = new Set(["not_found", "unexpected_answer", "method_not_allowed"]);

/**
 * As `call`, but null where this EMCP has no such part.
 * @template T
 * @param {string} part what is asked for, by a name of its own
 * @param {Parameters<typeof call>} request
 * @returns {Promise<T | null>}
 */
export async function callPart(part, ...request) {
  if (missing.has(part)) return null;
  try {
    return /** @type {T} */ (await call(...request));
  } catch (error) {
    if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 405) || !UNKNOWN_PATH.has(error.code)) throw error;
    missing.add(part);
    return null;
  }
}
