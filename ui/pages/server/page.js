// One server: its head and the tabs below it.

import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Confirm, Failure, Loading } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { lazy } from "../../components/lazy.js";
import { QuickActions } from "../../components/quick_actions.js";
import { ServerStatus, WantedBadge } from "../../components/server_parts.js";
import { Reason } from "../../components/status.js";
import { call, serverPath } from "../../lib/api.js";
import { isAway } from "../../lib/errors.js";
import { t } from "../../lib/i18n.js";
import { useLive, whileRemoving } from "../../lib/live.js";
import { go, href } from "../../lib/router.js";
import { act, can, isActing } from "../../lib/servers.js";
import { done } from "../../lib/toasts.js";
import { unsaved } from "../../lib/unsaved.js";
import { NotFoundPage } from "../not_found.js";
import { CodeTab } from "./code.js";
import { ConnectionTab } from "./connection.js";
import { EnvironmentTab } from "./environment.js";
import { Gone, GoneUnsaved } from "./gone.js";
import { LogsTab } from "./logs.js";
import { OverviewTab } from "./overview.js";

const ToolsTab = lazy(async () => (await import("./tools.js")).ToolsTab, { words: ["tools"], styles: ["tools"] });

/** @typedef {import("../../lib/types.js").Server} Server */

const TABS = /** @type {const} */ (["overview", "code", "environment", "logs", "tools", "connection"]);
/** What one must be allowed to do with a server to be shown a tab. @type {Partial<Record<string, import("../../lib/types.js").ServerPermission>>} */
const NEEDED = { code: "inspect", environment: "inspect", tools: "call" };

/**
 * @param {Server} server
 * @param {string} tab
 */
function isOffered(server, tab) {
  const needed = NEEDED[tab];
  return needed === undefined || can(server, needed);
}

/** @param {{ name: string, tab: string }} props */
export function ServerPage({ name, tab }) {
  /** @type {import("../../lib/live.js").Live<Server>} */
  const live = useLive(serverPath(name));
  const server = live.data.value;
  const error = live.error.value;
  const isGone = error?.status === 404 && !isAway(error);
  const kept = unsaved.value;
  if (isGone && !(server && kept)) return html`<${Gone} name=${name} />`;
  if (!server) return error ? html`<${Failure} error=${error} onRetry=${live.refresh} />` : html`<${Loading} />`;
  const canChange = can(server, "update");
  if (!TABS.some((known) => known === tab)) return html`<${NotFoundPage} />`;
  const isShown = isOffered(server, tab);
  // What is typed stays where it is: the tab is the same one before and after.
  return html`
    ${isGone && kept
      ? html`<${GoneUnsaved} name=${name} kept=${kept} />`
      : html`<${Head} server=${server} />
          <${Failure} error=${error} onRetry=${live.refresh} />
          ${server.restart_needed && html`<${RestartNeeded} server=${server} />`}
          <${Tabs} server=${server} tab=${tab} />`}
    ${!isShown && html`<p class="hint">${t("server.notYours", { who: server.creator })}</p>`}
    ${tab === "overview" && html`<${OverviewTab} server=${server} canChange=${canChange} />`}
    ${isShown && tab === "code" && html`<${CodeTab} server=${server} canChange=${canChange} />`}
    ${isShown && tab === "environment" && html`<${EnvironmentTab} server=${server} canChange=${canChange} />`}
    ${tab === "logs" && html`<${LogsTab} server=${server} />`}
    ${isShown && tab === "tools" && html`<${ToolsTab} server=${server} />`}
    ${tab === "connection" && html`<${ConnectionTab} server=${server} />`}
  `;
}

/** @param {{ server: Server, tab: string }} props */
function Tabs({ server, tab }) {
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  // On a phone not all of them have room.
  useEffect(() => bar.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [tab]);
  return html`<nav class="tabs" ref=${bar} aria-label=${server.name}>
    ${TABS.filter((known) => isOffered(server, known)).map(
      (known) => html`<a key=${known} href=${href(["servers", server.name, known])} aria-current=${known === tab ? "page" : undefined}>${t(`tab.${known}`)}</a>`,
    )}
  </nav>`;
}

/** @param {{ server: Server }} props */
function Head({ server }) {
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
        <${ServerStatus} server=${server} />
        <${WantedBadge} server=${server} />
        ${server.status === "error" &&
        html`<a class="button small" href=${href(["servers", server.name, "logs"])}><${Icon} name="logs" />${t("server.seeOutput")}</a>`}
      </div>
      <div class="row-of-buttons">
        <${QuickActions} server=${server} hasLogs=${false} />
        ${can(server, "delete") &&
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

/** @param {{ server: Server }} props */
function RestartNeeded({ server }) {
  return html`<div class="notice warn" role="status">
    <${Icon} name="restart" />
    <p>${t("server.restartNeededLong")}</p>
    ${can(server, "act") &&
    html`<button type="button" class="button small" disabled=${isActing(server.id)} onClick=${() => act(server, "restart")}>
      ${t("server.restartNow")}
    </button>`}
  </div>`;
}
