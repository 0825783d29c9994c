// Servers as a table.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";
import { may } from "../lib/session.js";
import { Time } from "./controls.js";
import { QuickActions } from "./quick_actions.js";
import { Choose, MemoryUse, ServerStatus, WantedBadge } from "./server_parts.js";
import { Reason } from "./status.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ servers: Server[], all: number }} props those drawn, and how many there are */
export function ServerTable({ servers, all }) {
  return html`<div class="table-box">
    <table class="servers" aria-rowcount=${all + 1}>
      <thead>
        <tr>
          ${may("create_servers") && html`<td class="choose-cell"></td>`}
          <th scope="col">${t("server.name")}</th>
          <th scope="col" class="status-cell">${t("server.status")}</th>
          <th scope="col" class="address-cell">${t("server.address")}</th>
          <th scope="col" class="creator-cell">${t("server.creator")}</th>
          <th scope="col" class="version-cell">${t("server.version")}</th>
          <th scope="col" class="memory-cell">${t("server.memory")}</th>
          <th scope="col" class="updated-cell">${t("server.updated")}</th>
          <th scope="col" class="actions-cell">${t("server.actions")}</th>
        </tr>
      </thead>
      <tbody>
        ${servers.map((server) => html`<${Row} key=${server.id} server=${server} />`)}
      </tbody>
    </table>
  </div>`;
}

/** @param {{ server: Server }} props */
function Row({ server }) {
  return html`<tr data-server=${server.name} data-status=${server.status}>
    ${may("create_servers") && html`<td class="choose-cell"><${Choose} server=${server} /></td>`}
    <th scope="row">
      <a href=${href(["servers", server.name])} title=${server.name}>${server.name}</a>
      ${server.description && html`<p class="description" dir="auto"><${Text} text=${server.description} max=${200} /></p>`}
    </th>
    <td>
      <span class="row-of-buttons">
        <${ServerStatus} server=${server} /><${WantedBadge} server=${server} />
        ${server.restart_needed && html`<span class="restart-needed">${t("server.restartNeeded")}</span>`}
      </span>
      <${Reason} server=${server} />
    </td>
    <td class="mono">${server.address}</td>
    <td class="creator-cell"><${Text} text=${server.creator} /></td>
    <td class="version-cell">${server.version}</td>
    <td><${MemoryUse} server=${server} /></td>
    <td class="updated-cell"><${Time} at=${server.updated_at} /></td>
    <td><${QuickActions} server=${server} isCompact /></td>
  </tr>`;
}
