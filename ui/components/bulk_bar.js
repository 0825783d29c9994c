// What can be done with the chosen servers, and how far it has come.

import { html, useState } from "../vendor/preact.js";
import { bulk, choose, runBulk } from "../lib/bulk.js";
import { explain } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";
import { can, hasEffect } from "../lib/servers.js";
import { Dialog } from "./controls.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

const ACTIONS = /** @type {const} */ (["start", "stop", "restart"]);
const FAILURES_SHOWN = 20;
/** Who asks for hundreds has seen enough by then. */
const NAMES_SHOWN = 30;

/** @typedef {{ action: typeof ACTIONS[number], servers: Server[] }} Deed what is asked about before it is done */

/** @param {{ servers: Server[] }} props those chosen */
export function BulkBar({ servers }) {
  const [asked, setAsked] = useState(/** @type {Deed | null} */ (null));
  const isRunning = bulk.value?.isRunning ?? false;
  if (servers.length === 0 && !bulk.value) return null;
  return html`<section class="bulk" aria-label=${t("bulk.label")}>
    ${servers.length > 0 &&
    !isRunning &&
    html`<div class="bulk-bar">
      <strong>${t("bulk.chosen", { n: servers.length })}</strong>
      <span class="row-of-buttons">
        ${ACTIONS.map((action) => {
          const fitting = servers.filter((server) => can(server, "act") && hasEffect(server, action));
          return html`<button key=${action} type="button" class="button small" disabled=${fitting.length === 0} onClick=${() => setAsked({ action, servers: fitting })}>
            <${Icon} name=${action} />${t(`action.${action}`)} <span class="count">${fitting.length}</span>
          </button>`;
        })}
        <button type="button" class="button small quiet" onClick=${() => choose([])}>${t("bulk.clear")}</button>
      </span>
    </div>`}
    ${bulk.value && html`<${Progress} run=${bulk.value} />`}
    ${asked && html`<${Ask} deed=${asked} onClose=${() => setAsked(null)} />`}
  </section>`;
}

/**
 * Names what is about to be done, and to which.
 * @param {{ deed: Deed, onClose: () => void }} props
 */
function Ask({ deed: { action, servers }, onClose }) {
  const words = t(`action.${action}`);
  const go = () => {
    onClose();
    void runBulk(action, servers);
  };
  return html`<${Dialog} title=${t("bulk.ask", { action: words, n: servers.length })} onClose=${onClose}>
    <p>${t(`bulk.means.${action}`)}</p>
    <ul class="bulk-names">
      ${servers.slice(0, NAMES_SHOWN).map((server) => html`<li key=${server.id}>${server.name}</li>`)}
      ${servers.length > NAMES_SHOWN && html`<li>${t("home.more", { n: servers.length - NAMES_SHOWN })}</li>`}
    </ul>
    <footer>
      <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
      <button type="button" class=${action === "start" ? "button primary" : "button danger"} onClick=${go}>${t("bulk.do", { action: words, n: servers.length })}</button>
    </footer>
  <//>`;
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
