// Servers as cards.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";
import { Choose, MemoryUse, ServerStatus, WantedBadge } from "./server_parts.js";
import { QuickActions } from "./quick_actions.js";
import { Reason } from "./status.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ servers: Server[] }} props */
export function ServerCards({ servers }) {
  return html`<ul class="cards">${servers.map((server) => html`<${Card} key=${server.id} server=${server} />`)}</ul>`;
}

/** @param {{ server: Server }} props */
function Card({ server }) {
  return html`<li class="card" data-status=${server.status} data-server=${server.name}>
    <div class="card-head">
      <span class="card-name"><${Choose} server=${server} /><h2><a href=${href(["servers", server.name])}>${server.name}</a></h2></span>
      <span class="row-of-buttons"><${WantedBadge} server=${server} /><${ServerStatus} server=${server} /></span>
    </div>
    ${server.description && html`<p class="description" dir="auto"><${Text} text=${server.description} max=${300} /></p>`}
    <${Reason} server=${server} />
    ${server.restart_needed && html`<p class="restart-needed">${t("server.restartNeeded")}</p>`}
    <dl class="facts small">
      <div><dt>${t("server.address")}</dt><dd class="mono">${server.address}</dd></div>
      <div><dt>${t("server.version")}</dt><dd>${server.version}</dd></div>
      <div><dt>${t("server.memory")}</dt><dd><${MemoryUse} server=${server} /></dd></div>
      <div><dt>${t("server.creator")}</dt><dd><${Text} text=${server.creator} /></dd></div>
      <div class="wide"><dt>${t("server.id")}</dt><dd class="mono id" title=${server.id}>${server.id}</dd></div>
    </dl>
    <${QuickActions} server=${server} />
  </li>`;
}
