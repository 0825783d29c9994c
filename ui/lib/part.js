// Parts of the API that an EMCP may not have: an older one behind a newer page
// that a browser kept, for example. What is not there is not asked for again
// and not shown.

import { ApiError, call } from "./api.js";

/** @type {Set<string>} */
const missing = new Set();

/**
 * Whether an EMCP says that it does not know a path, as opposed to a server.
 * @param {string} path
 * @param {ApiError} error
 */
function isUnknown(path, { status, code }) {
  // A proxy that knows no way to EMCP says 404 too.
  if (code === "unexpected_answer") return false;
  return (status === 404 || status === 405) && !(path.startsWith("/api/servers/") && code === "server_not_found");
}

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
    if (!(error instanceof ApiError) || !isUnknown(request[1], error)) throw error;
    missing.add(part);
    return null;
  }
}
