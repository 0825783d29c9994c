// What could not be read, with a way to try again. Where EMCP is away for the
// moment, that is said instead, and what was asked for comes by itself.

import { html, useEffect } from "../vendor/preact.js";
import { isAway } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { freshness } from "../lib/live.js";
import { Failure } from "./controls.js";
import { Icon } from "./icon.js";

const AGAIN_MS = 1_000;

/**
 * Asks again while `isWanted`, as long as there is somebody to answer.
 * @param {unknown} error each time it fails, another
 * @param {boolean} isWanted
 * @param {() => unknown} again
 */
export function useAgain(error, isWanted, again) {
  // The event stream finds out that EMCP is back.
  const isThere = freshness.value === "live" || freshness.value === "polling";
  useEffect(() => {
    if (!isWanted || !isThere) return undefined;
    const timer = setTimeout(again, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [error, isWanted, isThere]);
}

/** @param {{ error: unknown, onRetry: () => unknown }} props for calls that only read: they are repeated */
export function ReadFailure({ error, onRetry }) {
  const isWaiting = isAway(error);
  useAgain(error, isWaiting, onRetry);
  if (!isWaiting) return html`<${Failure} error=${error} onRetry=${onRetry} />`;
  return html`<div class="notice warn" role="status" data-away>
    <${Icon} name="building" />
    <p>${t("fresh.away")}</p>
    <button type="button" class="button small" onClick=${onRetry}>${t("action.retry")}</button>
  </div>`;
}
