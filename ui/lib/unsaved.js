// Keeps what was typed from being lost by leaving a page. The browser asks
// before it closes or reloads; this asks before the dashboard shows another
// page, whichever way that was begun: a link, the back button, a typed address.

import { signal } from "../vendor/preact.js";

/** @typedef {(to: string) => void} Ask is given the address that was wanted */
/** @typedef {{ name: string, text: () => string }} Unsaved a text, and the name of a file for it */

/**
 * What would be lost with the page, as a text to be kept elsewhere.
 * @type {import("../vendor/preact.js").Signal<Unsaved | null>}
 */
export const unsaved = signal(null);

/** @type {Ask | null} the page that has something to lose; there is one page at a time */
let asking = null;

/**
 * @param {Ask} ask
 * @returns {() => void} ends it
 */
export function guardLeaving(ask) {
  asking = ask;
  return () => {
    if (asking === ask) asking = null;
  };
}

/** From here on the page may be left: what was typed is saved or given up. */
export function letLeave() {
  asking = null;
}

/** Called once, before the router listens: it must not see what is held back. */
export function startGuard() {
  addEventListener("beforeunload", (event) => {
    if (asking) event.preventDefault();
  });
  addEventListener("click", onClick, { capture: true });
  addEventListener("hashchange", onHashChange, { capture: true });
}

/**
 * A link is stopped before it changes the address, which keeps the browser's
 * history as it is.
 * @param {MouseEvent} event
 */
function onClick(event) {
  const opensElsewhere = event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  const link = event.target instanceof Element ? event.target.closest("a[href^='#/']") : null;
  const to = link?.getAttribute("href");
  if (!asking || opensElsewhere || !to || to === location.hash) return;
  event.preventDefault();
  asking(to);
}

/** @param {HashChangeEvent} event */
function onHashChange(event) {
  if (!asking) return;
  event.stopImmediatePropagation();
  const to = new URL(event.newURL).hash;
  history.pushState(null, "", event.oldURL);
  asking(to);
}
