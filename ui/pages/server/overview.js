// What a server is, does, and did; and what went wrong.

import { html, useState } from "../../vendor/preact.js";
import { AnsiText } from "../../components/ansi_text.js";
import { Failure as CallFailure, Time } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { SettingsDialog } from "../../components/settings_dialog.js";
import { ServerStatus } from "../../components/server_parts.js";
import { Text } from "../../components/text.js";
import { serverPath } from "../../lib/api.js";
import { argsText } from "../../lib/args.js";
import { eventWords, faultDetail } from "../../lib/coded.js";
import { isKey, t } from "../../lib/i18n.js";
import { useLive } from "../../lib/live.js";
import { href } from "../../lib/router.js";
import { can, isPastFailure } from "../../lib/servers.js";
import { sleepDraft } from "../../lib/sleep.js";
import { amount, mebibytes } from "../../lib/units.js";
import { MembersDialog } from "./members.js";
import { Versions } from "./versions.js";

/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server, canChange: boolean }} props */
export function OverviewTab({ server, canChange }) {
  const [isEditing, setEditing] = useState(false);
  const [isSharing, setSharing] = useState(false);
  return html`
    ${server.last_error && html`<${LastError} server=${server} failure=${server.last_error} />`}
    <div class="columns">
      <div class="column">
        <section class="panel">
          <h2>${t("overview.state")}</h2>
          <dl class="facts">
            <div><dt>${t("overview.wanted")}</dt><dd>${t(`desired.${server.desired}`)}</dd></div>
            <div><dt>${t("overview.observed")}</dt><dd><${ServerStatus} server=${server} /></dd></div>
            <div><dt>${t("overview.since")}</dt><dd><${Time} at=${server.since} /></dd></div>
            ${server.started_at && html`<div><dt>${t("overview.startedAt")}</dt><dd><${Time} at=${server.started_at} /></dd></div>`}
            ${server.retry_at && html`<div><dt>${t("overview.retryAt")}</dt><dd><${Time} at=${server.retry_at} /></dd></div>`}
            <div><dt>${t("server.address")}</dt><dd class="mono">${server.address}</dd></div>
            ${server.container_id && html`<div><dt>${t("overview.container")}</dt><dd class="mono" title=${server.container_id}>${server.container_id.slice(0, 12)}</dd></div>`}
            <div><dt>${t("overview.restarts")}</dt><dd>${server.restarts}</dd></div>
            ${server.exit_code !== null && html`<div><dt>${t("overview.exitCode")}</dt><dd>${server.exit_code}</dd></div>`}
          </dl>
        </section>
        <${History} server=${server} />
      </div>
      <div class="column">
        <section class="panel">
          <div class="panel-head">
            <h2>${t("overview.settings")}</h2>
            ${canChange &&
            html`<button type="button" class="button small" onClick=${() => setEditing(true)}><${Icon} name="edit" />${t("action.edit")}</button>`}
          </div>
          <dl class="facts">
            <div class="wide"><dt>${t("server.description")}</dt><dd class="long-text" dir="auto">${server.description || "–"}</dd></div>
            <div><dt>${t("server.entryObject")}</dt><dd class="mono">${server.entry_object}</dd></div>
            <div><dt>${t("server.runtime")}</dt><dd>${t(`runtime.${server.runtime}`)}</dd></div>
            ${(server.args ?? []).length > 0 && html`<div class="wide"><dt>${t("args.label")}</dt><dd class="long-text mono" dir="ltr"><${Text} text=${argsText(server.args)} /></dd></div>`}
            <div><dt>${t("server.memoryLimit")}</dt><dd>${mebibytes(server.limits.memory_bytes)}</dd></div>
            ${server.storage && html`<div><dt>${t("storage.fact")}</dt><dd>${amount(server.storage.size_bytes)}</dd></div>`}
            <div><dt>${t("overview.cpus")}</dt><dd>${server.limits.cpus}</dd></div>
            <div><dt>${t("overview.pids")}</dt><dd>${server.limits.pids}</dd></div>
            ${server.egress && html`<div><dt>${t("egress.label")}</dt><dd>${t(`egress.${server.egress}`)}</dd></div>`}
            ${(server.pass_headers ?? []).length > 0 && html`<div><dt>${t("passHeaders.label")}</dt><dd class="mono">${(server.pass_headers ?? []).join(", ")}</dd></div>`}
            ${server.sleep !== undefined && html`<div><dt>${t("sleep.label")}</dt><dd>${t(`sleep.mode.${sleepDraft(server.sleep).mode}`)}</dd></div>`}
            <div><dt>${t("server.creator")}</dt><dd>${server.creator}</dd></div>
            <div>
              <dt>${t("members.title")}</dt>
              <dd>
                <${Text} text=${server.members.join(", ") || t("members.none")} max=${2_000} />
                ${can(server, "share") &&
                html` <button type="button" class="button small" aria-label=${t("members.changeAll")} onClick=${() => setSharing(true)}>${t("members.change")}</button>`}
              </dd>
            </div>
            <div><dt>${t("overview.createdAt")}</dt><dd><${Time} at=${server.created_at} /></dd></div>
            <div class="wide"><dt>${t("server.id")}</dt><dd class="mono id">${server.id}</dd></div>
          </dl>
        </section>
        <${Versions} server=${server} canChange=${canChange} />
      </div>
    </div>
    ${isSharing && html`<${MembersDialog} server=${server} onClose=${() => setSharing(false)} />`}
    ${isEditing && html`<${SettingsDialog} server=${server} onClose=${() => setEditing(false)} />`}
  `;
}

/**
 * What went wrong: an alarm, unless the server runs again by itself since.
 * @param {{ server: Server, failure: import("../../lib/types.js").Failure }} props
 */
function LastError({ server, failure }) {
  const key = `failure.${failure.code}`;
  const kind = isKey(key) ? t(key) : null;
  const isPast = isPastFailure(server);
  return html`<section class=${isPast ? "panel past-error" : "panel last-error"} aria-label=${t("overview.lastError")}>
    <div class="panel-head">
      ${isPast
        ? html`<h2>${kind ? t("overview.pastFailure", { what: kind }) : t("overview.lastError")}</h2>`
        : html`<h2><${Icon} name="error" />${kind ?? t("overview.lastError")}</h2>`}
      <span class="row-of-buttons">
        ${failure.line &&
        html`<a class="button small" href=${href(["servers", server.name, "code"])}>${t("overview.showLine", { n: failure.line })}</a>`}
        <a class="button small" href=${href(["servers", server.name, "logs"])}><${Icon} name="logs" />${t("overview.wholeLog")}</a>
      </span>
    </div>
    ${isPast && html`<p class="hint"><${Time} at=${failure.at} /> · ${t("overview.pastFailureSince")}</p>`}
    <p dir="auto">${faultDetail(failure)}</p>
    ${failure.log_tail.length > 0 &&
    (isPast
      ? html`<details><summary>${t("overview.logTail")}</summary><${Tail} lines=${failure.log_tail} /></details>`
      : html`<${Tail} lines=${failure.log_tail} />`)}
  </section>`;
}

/** @param {{ lines: string[] }} props */
function Tail({ lines }) {
  return html`<div class="console tail" tabindex="0" role="group" aria-label=${t("overview.logTail")}>
    ${lines.map((line) => html`<div class="tail-line"><${AnsiText} line=${line} /></div>`)}
  </div>`;
}

/** @param {{ server: Server }} props */
function History({ server }) {
  /** @type {import("../../lib/live.js").Live<{ events: import("../../lib/types.js").ServerEvent[] }>} */
  const live = useLive(serverPath(server.name, "/events?limit=20"));
  return html`<section class="panel">
    <h2>${t("overview.history")}</h2>
    <${CallFailure} error=${live.error.value} onRetry=${live.refresh} />
    <ol class="history">
      ${live.data.value?.events.map(
        (event) => html`<li key=${event.at + event.message}>
          <span dir="auto"><${Text} text=${eventWords(event)} /></span>
          <span class="hint">${event.actor && `${event.actor} · `}<${Time} at=${event.at} /></span>
        </li>`,
      )}
    </ol>
  </section>`;
}
