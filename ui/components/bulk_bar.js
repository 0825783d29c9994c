// What can be done with the chosen servers, and how far it has come.

import { html } from "../vendor/preact.js";
import { bulk, choose, runBulk } from "../lib/bulk.js";
import { explain } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";
import { hasEffect, mayChange } from "../lib/servers.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

const ACTIONS = /** @type {const} */ (["start", "stop", "restart"]);
const FAILURES_SHOWN = 20;

/** @param {{ servers: Server[] }} props those chosen */
export function BulkBar({ servers }) {
  const isRunning = bulk.value?.isRunning ?? false;
  if (servers.length === 0 && !bulk.value) return null;
  return html`<section class="bulk" aria-label=${t("bulk.label")}>
    ${servers.length > 0 &&
    !isRunning &&
    html`<div class="bulk-bar">
      <strong>${t("bulk.chosen", { n: servers.length })}</strong>
      <span class="row-of-buttons">
        ${ACTIONS.map((action) => {
          const fitting = servers.filter((server) => mayChange(server) && hasEffect(server, action));
          return html`<button key=${action} type="button" class="button small" disabled=${fitting.length === 0} onClick=${() => runBulk(action, fitting)}>
            <${Icon} name=${action} />${t(`action.${action}`)} <span class="count">${fitting.length}</span>
          </button>`;
        })}
        <button type="button" class="button small quiet" onClick=${() => choose([])}>${t("bulk.clear")}</button>
      </span>
    </div>`}
    ${bulk.value && html`<${Progress} run=${bulk.value} />`}
  </section>`;
}

/** @param {{ run: import("../lib/bulk.js").Bulk }} props */
function Progress({ run }) {
  const { action, all, done, failures, isRunning } = run;
  const succeeded = done - failures.length;
  return html`<div class="bulk-run">
    <div class="bulk-bar">
      <p role="status">
        ${isRunning
          ? t("bulk.running", { action: t(`action.${action}`), done, all })
          : failures.length === 0
            ? t("bulk.done", { action: t(`action.${action}`), n: succeeded })
            : t("bulk.doneWithFailures", { action: t(`action.${action}`), n: succeeded, failed: failures.length })}
      </p>
      ${!isRunning &&
      html`<span class="row-of-buttons">
        ${failures.length > 0 &&
        html`<button type="button" class="button small" onClick=${() => runBulk(action, failures.map(({ server }) => server))}>${t("bulk.retry")}</button>`}
        <button type="button" class="button icon-only quiet" aria-label=${t("action.close")} onClick=${() => (bulk.value = null)}><${Icon} name="close" /></button>
      </span>`}
    </div>
    <progress max=${all} value=${done} aria-label=${t("bulk.progress")}></progress>
    ${failures.length > 0 &&
    html`<ul class="bulk-failures">
      ${failures.slice(0, FAILURES_SHOWN).map(
        ({ server, error }) => html`<li key=${server.id}><${Icon} name="error" /><a href=${href(["servers", server.name])}>${server.name}</a> <${Text} text=${explain(error)} /></li>`,
      )}
      ${failures.length > FAILURES_SHOWN && html`<li>${t("home.more", { n: failures.length - FAILURES_SHOWN })}</li>`}
    </ul>`}
  </div>`;
}
