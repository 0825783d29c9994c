// Where in the dashboard we are, kept in the part of the address behind "#":
// EMCP serves files only, so paths are not ours to use.

import { signal } from "../vendor/preact.js";

/** @typedef {{ segments: string[], query: URLSearchParams }} Route */

export const route = signal(parseHash(""));

/**
 * @param {string} hash with or without "#"
 * @returns {Route}
 */
export function parseHash(hash) {
  const [path = "", query = ""] = split(hash.replace(/^#/, ""), "?");
  const segments = path.split("/").filter(Boolean).map(decode);
  return { segments, query: new URLSearchParams(query) };
}

/**
 * An address within the dashboard.
 * @param {string[]} segments
 * @param {Record<string, string>} [query] empty values are left out
 */
export function href(segments, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== "");
  const search = new URLSearchParams(filled).toString();
  return `#/${segments.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

/** @param {string} to as `href` makes it */
export function go(to) {
  location.hash = to;
}

/**
 * Changes the address without a step in the browser's history, as a filter
 * does while it is typed.
 * @param {string} to
 */
export function replace(to) {
  history.replaceState(null, "", to);
  route.value = parseHash(to);
}

export function startRouter() {
  const read = () => {
    route.value = parseHash(location.hash);
  };
  addEventListener("hashchange", read);
  read();
}

/**
 * @param {string} text
 * @param {string} at
 */
function split(text, at) {
  const index = text.indexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray "%" in an address typed by hand.
    return text;
  }
}
