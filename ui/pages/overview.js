// The start page: how many servers do what, what they use, what needs somebody,
// and what happened.

import { html } from "../vendor/preact.js";
import { Failure, Loading, Time } from "../components/controls.js";
import { FirstServer } from "../components/first_server.js";
import { Icon } from "../components/icon.js";
import { lazy } from "../components/lazy.js";
import { StatusBadge } from "../components/status.js";
import { Text } from "../components/text.js";
import { eventWords, inWords, reasonWords } from "../lib/coded.js";
import { needsAttention } from "../lib/overview.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { href } from "../lib/router.js";
import { may } from "../lib/session.js";

/** Where there is no server there is nothing to draw. */
const UsageCharts = lazy(async () => (await import("../components/usage_charts.js")).UsageCharts, { words: [], styles: [] });

/** @typedef {import("../lib/types.js").Server} Server */
/** @typedef {import("../lib/types.js").Overview} Overview */

/** In this order, and these always; the others only while there are any. */
const TILES = /** @type {const} */ (["running", "error", "sleeping", "stopped", "unresponsive", "starting", "building"]);
const ALWAYS = 4;
/** The page stays one to be read at a glance. */
const SHOWN_MAX = 8;

export function OverviewPage() {
  /** @type {import("../lib/live.js").Live<Overview>} */
  const live = useLive("/api/overview");
  /** @type {import("../lib/live.js").Live<{ servers: Server[] }>} */
  const list = useLive("/api/servers");
  const servers = list.data.value?.servers;
  const overview = live.data.value;
  const error = live.error.value ?? list.error.value;
  return html`
    <div class="page-head">
      <h1>${t("nav.overview")}</h1>
      ${may("create_servers") && html`<a class="button primary" href=${href(["new"])}><${Icon} name="plus" />${t("servers.new")}</a>`}
    </div>
    <${Failure} error=${error} onRetry=${() => Promise.all([live.refresh(), list.refresh()])} />
    ${!servers || !overview
      ? !error && html`<${Loading} />`
      : html`
          ${overview.notices?.map((notice) => html`<${Notice} key=${notice.code} notice=${notice} />`)}
          ${servers.length === 0
            ? html`<${FirstServer} />`
            : html`
                <${Tiles} servers=${servers} />
                <${UsageCharts} overview=${overview} />
                <div class="columns">
                  <${Attention} servers=${servers} overview=${overview} />
                  ${overview.recent_events && html`<${Events} events=${overview.recent_events} />`}
                </div>
              `}
        `}
  `;
}

/** @param {{ notice: { code: string, message: string, args?: import("../lib/types.js").Args } }} props */
function Notice({ notice }) {
  return html`<div class="notice warn" role="status" data-notice=${notice.code}>
    <${Icon} name="error" />
    <p dir="auto"><${Text} text=${inWords("notice", notice.code, notice.args ?? null, notice.message)} /></p>
  </div>`;
}

/** @param {{ servers: Server[] }} props */
function Tiles({ servers }) {
  const counts = TILES.map((status) => ({ status, count: servers.filter((server) => server.status === status).length }));
  return html`<ul class="tiles" aria-label=${t("servers.byStatus")}>
    ${counts
      .filter(({ count }, index) => index < ALWAYS || count > 0)
      .map(
        ({ status, count }) => html`<li key=${status}>
          <a class="tile" data-status=${status} data-empty=${count === 0} href=${href(["servers"], { status })}>
            <strong>${count}</strong>
            <span><${Icon} name=${status} />${t(`status.${status}`)}</span>
          </a>
        </li>`,
      )}
  </ul>`;
}

/** @param {{ servers: Server[], overview: Overview }} props */
function Attention({ servers, overview }) {
  const items = needsAttention(servers, overview.attention);
  return html`<section class="panel" aria-label=${t("home.attention")}>
    <h2>${t("home.attention")}</h2>
    ${items.length === 0
      ? html`<p class="all-well"><${Icon} name="check" />${t("home.nothing")}</p>`
      : html`<ol class="attention">
          ${items.slice(0, SHOWN_MAX).map(
            (item) => html`<li key=${item.server.id + item.code} data-server=${item.server.name}>
              <div class="card-head">
                <a href=${href(["servers", item.server.name])}>${item.server.name}</a>
                <${StatusBadge} status=${item.status} />
              </div>
              <p class="reason" dir="auto"><${Text} text=${attentionWords(item, servers)} /></p>
              <p class="hint">${t("overview.since")} <${Time} at=${item.since} /></p>
            </li>`,
          )}
        </ol>`}
    ${items.length > SHOWN_MAX && html`<a href=${href(["servers"], { status: "error" })}>${t("home.more", { n: items.length - SHOWN_MAX })}</a>`}
  </section>`;
}

/**
 * A failure is told by the server's own reason, which is fresher.
 * @param {NonNullable<Overview["attention"]>[number]} item
 * @param {Server[]} servers
 */
function attentionWords(item, servers) {
  const server = servers.find(({ id }) => id === item.server.id);
  return reasonWords((item.status === "error" || item.status === "unresponsive") && server ? server : item);
}

/** @param {{ events: NonNullable<Overview["recent_events"]> }} props */
function Events({ events }) {
  return html`<section class="panel" aria-label=${t("home.events")}>
    <h2>${t("home.events")}</h2>
    ${events.length === 0 && html`<p class="hint">${t("home.noEvents")}</p>`}
    <ol class="history">
      ${events.map(
        (event) => html`<li key=${event.at + event.server.id + event.message}>
          <span><a href=${href(["servers", event.server.name])}>${event.server.name}</a>${" "}<${Text} text=${eventWords(event)} /></span>
          <span class="hint">${event.actor && `${event.actor} · `}<${Time} at=${event.at} /></span>
        </li>`,
      )}
    </ol>
  </section>`;
}
