// All servers: cards for a few or on a phone, a table for many. The filter is
// part of the address, so that a link to it can be kept or passed on.

import { html, useEffect, useMemo } from "../vendor/preact.js";
import { BulkBar } from "../components/bulk_bar.js";
import { Failure, Loading } from "../components/controls.js";
import { FirstServer } from "../components/first_server.js";
import { Icon } from "../components/icon.js";
import { useParts } from "../components/more.js";
import { ServerCards } from "../components/server_cards.js";
import { ServerTable } from "../components/server_table.js";
import { StatusBadge } from "../components/status.js";
import { choose, chosen } from "../lib/bulk.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { isWide } from "../lib/media.js";
import { href, replace } from "../lib/router.js";
import { can } from "../lib/servers.js";
import { may } from "../lib/session.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** More than these are shown as a table where there is room. */
const CARDS_MAX = 12;
const STATUSES = /** @type {const} */ (["running", "starting", "building", "unresponsive", "sleeping", "stopped", "error"]);

/** @param {{ query: URLSearchParams }} props */
export function ServersPage({ query }) {
  /** @type {import("../lib/live.js").Live<{ servers: Server[] }>} */
  const live = useLive("/api/servers");
  const servers = live.data.value?.servers;
  const text = query.get("q") ?? "";
  const status = query.get("status") ?? "";
  // A selection is of this page; another finds none.
  useEffect(() => () => choose([]), []);
  return html`
    <div class="page-head">
      <h1>${t("nav.servers")}</h1>
      ${may("create_servers") && html`<a class="button primary" href=${href(["new"])}><${Icon} name="plus" />${t("servers.new")}</a>`}
    </div>
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${!servers
      ? !live.error.value && html`<${Loading} />`
      : servers.length === 0
        ? html`<${FirstServer} />`
        : html`<${List} servers=${servers} text=${text} status=${status} />`}
  `;
}

/** @param {{ servers: Server[], text: string, status: string }} props */
function List({ servers, text, status }) {
  /** @param {Record<string, string>} change */
  const filter = (change) => replace(href(["servers"], { q: text, status, ...change }));
  const shown = useMemo(() => servers.filter((server) => fits(server, text, status)), [servers, text, status]);
  const parts = useParts(shown, `${text} ${status}`);
  // Nothing is done with a server that the filter hides.
  const selected = shown.filter((server) => chosen.value.has(server.id));
  const selectable = shown.filter((server) => can(server, "act"));
  const hasAll = selectable.length > 0 && selectable.every((server) => chosen.value.has(server.id));
  const isTable = servers.length > CARDS_MAX && isWide.value;
  const all = html`<label class="check">
    <input
      type="checkbox"
      checked=${hasAll}
      indeterminate=${!hasAll && selected.length > 0}
      disabled=${selectable.length === 0}
      onChange=${() => choose(hasAll ? [] : selectable.map(({ id }) => id))}
    />
    ${t("bulk.all", { n: selectable.length })}
  </label>`;
  return html`
    <div class="filter-bar">
      <label class="search">
        <${Icon} name="search" />
        <input
          type="search"
          data-search
          placeholder=${t("servers.search")}
          aria-label=${t("servers.search")}
          aria-keyshortcuts="/"
          value=${text}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => filter({ q: event.currentTarget.value })}
        />
      </label>
      <${StatusFilter} servers=${servers} status=${status} onStatus=${(/** @type {string} */ next) => filter({ status: next })} />
      ${may("create_servers") && all}
    </div>
    <${BulkBar} servers=${selected} />
    ${shown.length === 0
      ? html`<div class="empty">
          <h2>${t("servers.noMatch")}</h2>
          <p>${t("servers.noMatchHint", { n: servers.length })}</p>
          <button type="button" class="button" onClick=${() => filter({ q: "", status: "" })}>${t("servers.clearFilter")}</button>
        </div>`
      : isTable
        ? html`<${ServerTable} servers=${parts.shown} all=${shown.length} />`
        : html`<${ServerCards} servers=${parts.shown} />`}
    ${parts.more}
  `;
}

/**
 * @param {Server} server
 * @param {string} text
 * @param {string} status
 */
function fits(server, text, status) {
  if (status !== "" && server.status !== status) return false;
  const words = text.trim().toLowerCase();
  return words === "" || [server.name, server.id, server.description, server.creator, server.address].some((part) => part.toLowerCase().includes(words));
}

/** @param {{ servers: Server[], status: string, onStatus: (status: string) => void }} props */
function StatusFilter({ servers, status, onStatus }) {
  const counts = STATUSES.map((option) => ({ option, count: servers.filter((server) => server.status === option).length }));
  return html`<div class="status-filter" role="group" aria-label=${t("servers.byStatus")}>
    <button type="button" aria-pressed=${status === ""} onClick=${() => onStatus("")}>
      ${t("servers.all")} <span class="count">${servers.length}</span>
    </button>
    ${counts
      .filter(({ option, count }) => option === status || count > 0)
      .map(
        ({ option, count }) => html`<button key=${option} type="button" aria-pressed=${status === option} onClick=${() => onStatus(status === option ? "" : option)}>
          <${StatusBadge} status=${option} />
          <span class="count">${count}</span>
        </button>`,
      )}
  </div>`;
}
