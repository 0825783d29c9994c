// How far back what is shown of a log goes, and how far what is kept.

import { html } from "../vendor/preact.js";
import { ApiError } from "../lib/api.js";
import { explain } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { exact } from "../lib/time.js";
import { Icon } from "./icon.js";

/** @typedef {import("../lib/log_buffer.js").LogBuffer} LogBuffer */
/** @typedef {import("../lib/log_history.js").LogHistory} LogHistory */

/** @param {{ buffer: LogBuffer, history: LogHistory, round: number }} props `round` is another one when they have changed */
export function LogReach({ buffer, history }) {
  const { error, isLoading } = history;
  const hasMore = buffer.mayHaveOlder && !buffer.isFull && history.oldest !== null && (buffer.newest > 0 || buffer.isNarrow);
  return html`<div class="log-reach">
    <p class="hint" role="status">${error ? problem(error) : words(buffer, history)}</p>
    ${(hasMore || Boolean(error)) &&
    html`<button type="button" class="button small quiet" disabled=${isLoading} onClick=${() => history.retry()}>
      <${Icon} name=${isLoading ? "building" : "restart"} />${t("logs.older")}
    </button>`}
  </div>`;
}

/** @param {unknown} error */
function problem(error) {
  return error instanceof ApiError && error.code === "no_answer" ? t("fresh.away") : `${t("logs.olderFailed")} ${explain(error)}`;
}

/**
 * @param {LogBuffer} buffer
 * @param {LogHistory} history
 */
function words(buffer, { oldest, isLoading }) {
  const n = buffer.shown.length;
  const first = buffer.shown[0];
  if (!oldest || (!first && !buffer.isNarrow)) return "";
  const from = exact(oldest.ts);
  if (buffer.isNarrow) {
    if (!buffer.mayHaveOlder) return t("logs.reach.searched", { n, from });
    return isLoading ? t("logs.reach.searching", { n }) : t("logs.reach.more", { n, from });
  }
  if (buffer.mayHaveOlder) return t(buffer.isFull ? "logs.reach.full" : "logs.reach.older", { n, here: exact(first?.ts ?? oldest.ts), from });
  return oldest.seq === 1 ? t("logs.reach.all", { n }) : t("logs.reach.kept", { n, from, gone: oldest.seq - 1 });
}
