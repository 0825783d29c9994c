// Calls of EMCP's API. Everything that can go wrong becomes an ApiError with a
// code; the words for it are found by lib/errors.js.

export class ApiError extends Error {
  /**
   * @param {number} status 0 when there was no answer
   * @param {string} code
   * @param {string} message the server's own words
   * @param {{ field?: string, requestId?: string, args?: Record<string, string> }} [more]
   */
  constructor(status, code, message, more = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.field = more.field;
    this.requestId = more.requestId;
    /** The names and numbers in the message. */
    this.args = more.args ?? {};
  }
}

/** @type {() => void} */
let whenSignedOut = () => {};

/**
 * Says what happens when a call finds that nobody is signed in (any more).
 * @param {() => void} handler
 */
export function onSignedOut(handler) {
  whenSignedOut = handler;
}

/**
 * One call; the answer's text, and the tag of what it shows.
 * @param {string} method
 * @param {string} path
 * @param {{ json?: unknown, text?: string, ifMatch?: string, signal?: AbortSignal, isSignIn?: boolean }} [options]
 *   `ifMatch` is the tag of what is being changed, as it was read
 * @returns {Promise<{ body: string, etag: string }>}
 */
export async function callForTagged(method, path, options = {}) {
  const { json, text, ifMatch, signal, isSignIn = false } = options;
  /** @type {RequestInit} */
  const init = { method, signal, headers: { Accept: "application/json", ...(ifMatch && { "If-Match": ifMatch }) }, cache: "no-store" };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers = { ...init.headers, "Content-Type": "application/json" };
  } else if (text !== undefined) {
    init.body = text;
    init.headers = { ...init.headers, "Content-Type": "text/x-python; charset=utf-8" };
  }
  const { response, body } = await exchange(path, init);
  if (response.ok) {
    // Asked who is signed in, EMCP answers also where nobody is.
    if (path === "/api/session" && method === "GET" && JSON.parse(body).signed_in === false) whenSignedOut();
    return { body, etag: response.headers.get("ETag") ?? "" };
  }
  if (response.status === 401 && !isSignIn) whenSignedOut();
  throw errorOf(response.status, body);
}

/**
 * One call; the answer's text.
 * @param {Parameters<typeof callForTagged>} request
 */
export async function callForText(...request) {
  return (await callForTagged(...request)).body;
}

/**
 * A browser gives up a call when the machine's network changes, as it does
 * with every container that starts beside it. What only reads is asked again.
 * @param {string} path
 * @param {RequestInit} init
 * @param {number} [tries]
 * @returns {Promise<{ response: Response, body: string }>}
 */
async function exchange(path, init, tries = init.method === "GET" ? 2 : 1) {
  try {
    const response = await fetch(path, init);
    return { response, body: await response.text() };
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    if (tries > 1) return exchange(path, init, tries - 1);
    throw new ApiError(0, "no_answer", String(error));
  }
}

/**
 * One call; the answer as JSON, or null when it is empty.
 * @template T
 * @param {string} method
 * @param {string} path
 * @param {Parameters<typeof callForTagged>[2]} [options]
 * @returns {Promise<T>}
 */
export async function call(method, path, options) {
  const body = await callForText(method, path, options);
  return body === "" ? /** @type {T} */ (null) : JSON.parse(body);
}

/**
 * The address of a server's resource.
 * @param {string} id
 * @param {string} [rest]
 */
export function serverPath(id, rest = "") {
  return `/api/servers/${encodeURIComponent(id)}${rest}`;
}

/**
 * @param {number} status
 * @param {string} body
 */
function errorOf(status, body) {
  try {
    const { error } = JSON.parse(body);
    return new ApiError(status, error.code, error.message, { field: error.field, requestId: error.request_id, args: error.args });
  } catch {
    // Not EMCP's own answer: most likely the proxy's, while EMCP restarts.
    return new ApiError(status, status >= 500 ? "no_answer" : "unexpected_answer", `HTTP ${status}`);
  }
}
