// All servers: cards for a few or on a phone, a table for many. The filter is
// part of the address, so that a link to it can be kept or passed on.

import { html } from "../vendor/preact.js";
import { Failure, Loading, Time } from "../components/controls.js";
import { Icon } from "../components/icon.js";
import { QuickActions } from "../components/quick_actions.js";
import { Reason, StatusBadge, WantedBadge } from "../components/status.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { isWide } from "../lib/media.js";
import { href, replace } from "../lib/router.js";
import { canWrite } from "../lib/session.js";
import { mebibytes } from "../lib/servers.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** More than these are shown as a table where there is room. */
const CARDS_MAX = 12;
const STATUSES = /** @type {const} */ (["running", "starting", "building", "sleeping", "stopped", "error"]);

/** @param {{ query: URLSearchParams }} props */
export function ServersPage({ query }) {
  /** @type {import("../lib/live.js").Live<{ servers: Server[] }>} */
  const live = useLive("/api/servers");
  const servers = live.data.value?.servers;
  const text = query.get("q") ?? "";
  const status = query.get("status") ?? "";
  /** @param {Record<string, string>} change */
  const filter = (change) => replace(href(["servers"], { q: text, status, ...change }));

  if (!servers) {
    return live.error.value ? html`<${Failure} error=${live.error.value} onRetry=${live.refresh} />` : html`<${Loading} />`;
  }
  const shown = servers.filter((server) => fits(server, text, status));
  return html`
    <div class="page-head">
      <h1>${t("nav.servers")}</h1>
      ${canWrite.value && html`<a class="button primary" href=${href(["new"])}><${Icon} name="plus" />${t("servers.new")}</a>`}
    </div>
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${servers.length === 0
      ? html`<${Nothing} />`
      : html`
          <div class="filter-bar">
            <label class="search">
              <${Icon} name="search" />
              <input
                type="search"
                data-search
                placeholder=${t("servers.search")}
                aria-label=${t("servers.search")}
                value=${text}
                onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => filter({ q: event.currentTarget.value })}
              />
            </label>
            <${StatusFilter} servers=${servers} status=${status} onStatus=${(/** @type {string} */ next) => filter({ status: next })} />
          </div>
          ${shown.length === 0
            ? html`<div class="empty">
                <h2>${t("servers.noMatch")}</h2>
                <button type="button" class="button" onClick=${() => filter({ q: "", status: "" })}>${t("servers.clearFilter")}</button>
              </div>`
            : servers.length > CARDS_MAX && isWide.value
              ? html`<${Table} servers=${shown} />`
              : html`<ul class="cards">${shown.map((server) => html`<${Card} key=${server.id} server=${server} />`)}</ul>`}
        `}
  `;
}

/**
 * @param {Server} server
 * @param {string} text
 * @param {string} status
 */
function fits(server, text, status) {
  const words = text.trim().toLowerCase();
  const hasWords = [server.name, server.id, server.description, server.creator].some((part) => part.toLowerCase().includes(words));
  return hasWords && (status === "" || server.status === status);
}

function Nothing() {
  return html`<div class="empty">
    <h2>${t("servers.none")}</h2>
    <p>${t("servers.noneHint")}</p>
    ${canWrite.value && html`<a class="button primary" href=${href(["new"])}><${Icon} name="plus" />${t("servers.first")}</a>`}
  </div>`;
}

/** @param {{ servers: Server[], status: string, onStatus: (status: string) => void }} props */
function StatusFilter({ servers, status, onStatus }) {
  const present = STATUSES.filter((option) => option === status || servers.some((server) => server.status === option));
  return html`<div class="status-filter" role="group" aria-label=${t("servers.byStatus")}>
    <button type="button" aria-pressed=${status === ""} onClick=${() => onStatus("")}>
      ${t("servers.all")} <span class="count">${servers.length}</span>
    </button>
    ${present.map(
      (option) => html`<button key=${option} type="button" aria-pressed=${status === option} onClick=${() => onStatus(status === option ? "" : option)}>
        <${StatusBadge} status=${option} />
        <span class="count">${servers.filter((server) => server.status === option).length}</span>
      </button>`,
    )}
  </div>`;
}

/** @param {{ server: Server }} props */
function Card({ server }) {
  return html`<li class="card" data-status=${server.status} data-server=${server.name}>
    <div class="card-head">
      <h2><a href=${href(["servers", server.name])}>${server.name}</a></h2>
      <span class="row-of-buttons"><${WantedBadge} server=${server} /><${StatusBadge} status=${server.status} /></span>
    </div>
    ${server.description && html`<p class="description" dir="auto">${server.description}</p>`}
    <${Reason} server=${server} />
    ${server.restart_needed && html`<p class="restart-needed">${t("server.restartNeeded")}</p>`}
    <dl class="facts small">
      <div><dt>${t("server.address")}</dt><dd class="mono">${server.address}</dd></div>
      <div><dt>${t("server.version")}</dt><dd>${server.version}</dd></div>
      <div><dt>${t("server.memoryLimit")}</dt><dd>${mebibytes(server.limits.memory_bytes)}</dd></div>
      <div><dt>${t("server.creator")}</dt><dd>${server.creator}</dd></div>
      <div class="wide"><dt>${t("server.id")}</dt><dd class="mono id" title=${server.id}>${server.id}</dd></div>
    </dl>
    <${QuickActions} server=${server} />
  </li>`;
}

/** @param {{ servers: Server[] }} props */
function Table({ servers }) {
  return html`<div class="table-box">
    <table>
      <thead>
        <tr>
          <th scope="col">${t("server.name")}</th>
          <th scope="col">${t("server.status")}</th>
          <th scope="col">${t("server.address")}</th>
          <th scope="col">${t("server.creator")}</th>
          <th scope="col">${t("server.version")}</th>
          <th scope="col">${t("server.updated")}</th>
          <th scope="col">${t("server.actions")}</th>
        </tr>
      </thead>
      <tbody>
        ${servers.map(
          (server) => html`<tr key=${server.id} data-server=${server.name}>
            <th scope="row">
              <a href=${href(["servers", server.name])}>${server.name}</a>
              ${server.description && html`<p class="description" dir="auto">${server.description}</p>`}
            </th>
            <td><${StatusBadge} status=${server.status} /> <${WantedBadge} server=${server} /><${Reason} server=${server} /></td>
            <td class="mono">${server.address}</td>
            <td>${server.creator}</td>
            <td>${server.version}</td>
            <td><${Time} at=${server.updated_at} /></td>
            <td><${QuickActions} server=${server} isCompact /></td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
