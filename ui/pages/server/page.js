// One server: its head and the tabs below it.

import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Confirm, Failure, Loading } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { lazy } from "../../components/lazy.js";
import { QuickActions } from "../../components/quick_actions.js";
import { Reason, StatusBadge, WantedBadge } from "../../components/status.js";
import { call, serverPath } from "../../lib/api.js";
import { isAway } from "../../lib/errors.js";
import { t } from "../../lib/i18n.js";
import { useLive, whileRemoving } from "../../lib/live.js";
import { go, href } from "../../lib/router.js";
import { act, isActing } from "../../lib/servers.js";
import { canWrite } from "../../lib/session.js";
import { done } from "../../lib/toasts.js";
import { NotFoundPage } from "../not_found.js";
import { CodeTab } from "./code.js";
import { ConnectionTab } from "./connection.js";
import { EnvironmentTab } from "./environment.js";
import { LogsTab } from "./logs.js";
import { OverviewTab } from "./overview.js";

const ToolsTab = lazy(async () => (await import("./tools.js")).ToolsTab, { words: ["tools"], styles: ["tools"] });

/** @typedef {import("../../lib/types.js").Server} Server */

const TABS = /** @type {const} */ (["overview", "code", "environment", "logs", "tools", "connection"]);

/** @param {{ name: string, tab: string }} props */
export function ServerPage({ name, tab }) {
  /** @type {import("../../lib/live.js").Live<Server>} */
  const live = useLive(serverPath(name));
  const server = live.data.value;
  const error = live.error.value;
  if (error?.status === 404 && !isAway(error)) {
    return html`<div class="empty">
      <h1>${t("server.gone", { name })}</h1>
      <p>${t("server.goneHint")}</p>
      <a class="button primary" href=${href(["servers"])}>${t("nav.servers")}</a>
    </div>`;
  }
  if (!server) return error ? html`<${Failure} error=${error} onRetry=${live.refresh} />` : html`<${Loading} />`;
  const canChange = canWrite.value && server.may_change !== false;
  if (!TABS.some((known) => known === tab)) return html`<${NotFoundPage} />`;
  return html`
    <${Head} server=${server} canChange=${canChange} />
    <${Failure} error=${error} onRetry=${live.refresh} />
    ${server.restart_needed && html`<${RestartNeeded} server=${server} canChange=${canChange} />`}
    <${Tabs} server=${server} tab=${tab} />
    ${tab === "overview" && html`<${OverviewTab} server=${server} canChange=${canChange} />`}
    ${tab === "code" && html`<${CodeTab} server=${server} canChange=${canChange} />`}
    ${tab === "environment" && html`<${EnvironmentTab} server=${server} canChange=${canChange} />`}
    ${tab === "logs" && html`<${LogsTab} server=${server} />`}
    ${tab === "tools" && html`<${ToolsTab} server=${server} canChange=${canChange} />`}
    ${tab === "connection" && html`<${ConnectionTab} server=${server} canChange=${canChange} />`}
  `;
}

/** @param {{ server: Server, tab: string }} props */
function Tabs({ server, tab }) {
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  // On a phone not all of them have room.
  useEffect(() => bar.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [tab]);
  return html`<nav class="tabs" ref=${bar} aria-label=${server.name}>
    ${TABS.map(
      (known) => html`<a key=${known} href=${href(["servers", server.name, known])} aria-current=${known === tab ? "page" : undefined}>${t(`tab.${known}`)}</a>`,
    )}
  </nav>`;
}

/** @param {{ server: Server, canChange: boolean }} props */
function Head({ server, canChange }) {
  const [isDeleting, setDeleting] = useState(false);
  const remove = () =>
    whileRemoving(serverPath(server.name), async () => {
      await call("DELETE", serverPath(server.id));
      done(t("server.deleted", { name: server.name }));
      go(href(["servers"]));
    });
  return html`<header class="server-head">
    <div class="page-head">
      <div class="server-title">
        <h1>${server.name}</h1>
        <${StatusBadge} status=${server.status} />
        <${WantedBadge} server=${server} />
        ${server.status === "error" &&
        html`<a class="button small" href=${href(["servers", server.name, "logs"])}><${Icon} name="logs" />${t("server.seeOutput")}</a>`}
      </div>
      <div class="row-of-buttons">
        <${QuickActions} server=${server} hasLogs=${false} />
        ${canChange &&
        html`<button type="button" class="button small" aria-label=${`${t("action.delete")}: ${server.name}`} onClick=${() => setDeleting(true)}>
          <${Icon} name="trash" />${t("action.delete")}
        </button>`}
      </div>
    </div>
    <${Reason} server=${server} />
    ${isDeleting &&
    html`<${Confirm}
      title=${t("server.deleteTitle", { name: server.name })}
      text=${t("server.deleteText")}
      action=${t("action.delete")}
      onConfirm=${remove}
      onClose=${() => setDeleting(false)}
    />`}
  </header>`;
}

/** @param {{ server: Server, canChange: boolean }} props */
function RestartNeeded({ server, canChange }) {
  return html`<div class="notice warn" role="status">
    <${Icon} name="restart" />
    <p>${t("server.restartNeededLong")}</p>
    ${canChange &&
    html`<button type="button" class="button small" disabled=${isActing(server.id)} onClick=${() => act(server, "restart")}>
      ${t("server.restartNow")}
    </button>`}
  </div>`;
}
