// The versions of a server's code: each can be read, compared with the one in
// use, and put into use again.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { CodeDiff } from "../../components/code_diff.js";
import { CodeEditor } from "../../components/code_editor.js";
import { Choice, CopyButton, Dialog, Failure, Loading, Time } from "../../components/controls.js";
import { ReadFailure } from "../../components/read_failure.js";
import { call, callForText, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll, useLive } from "../../lib/live.js";
import { versionFate, versionUse } from "../../lib/phases.js";
import { can } from "../../lib/servers.js";
import { done, failed } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").Server} Server */
/** @typedef {import("../../lib/types.js").CodeVersion} CodeVersion */

/** @param {{ server: Server, canChange: boolean }} props */
export function Versions({ server, canChange }) {
  /** @type {import("../../lib/live.js").Live<{ versions: CodeVersion[] }>} */
  const live = useLive(serverPath(server.name, "/versions"));
  const [isBusy, setBusy] = useState(false);
  const [open, setOpen] = useState(/** @type {number | null} */ (null));
  /** @param {number} number */
  const activate = async (number) => {
    setBusy(true);
    try {
      /** @type {Server} */
      const changed = await call("POST", serverPath(server.id, `/versions/${number}/activate`));
      setOpen(null);
      done(t(`version.${versionFate(changed)}`, { n: number }));
    } catch (error) {
      failed(error, () => activate(number));
    } finally {
      setBusy(false);
      refreshAll();
    }
  };
  const versions = [...(live.data.value?.versions ?? [])].reverse();
  return html`<section class="panel">
    <h2>${t("versions.title")}</h2>
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    <ol class="versions">
      ${versions.map(
        (version) => html`<li key=${version.number} data-version=${version.number}>
          <span>
            <strong>${t("versions.number", { n: version.number })}</strong>
            <span class="hint"><bdi>${version.uploaded_by}</bdi> · <${Time} at=${version.uploaded_at} /> · <span class="mono" title=${version.sha256}>${version.sha256.slice(0, 8)}</span></span>
          </span>
          <span class="row-of-buttons">
            ${version.number === server.version && html`<${Use} server=${server} />`}
            ${can(server, "inspect") &&
            html`<button type="button" class="button small" aria-label=${`${t("versions.view")}: ${version.number}`} onClick=${() => setOpen(version.number)}>
              ${t("versions.view")}
            </button>`}
            ${version.number !== server.version &&
            canChange &&
            html`<button type="button" class="button small" disabled=${isBusy} aria-label=${`${t("versions.use")}: ${version.number}`} onClick=${() => activate(version.number)}>
              ${t("versions.use")}
            </button>`}
          </span>
        </li>`,
      )}
    </ol>
    ${open !== null &&
    html`<${VersionDialog}
      server=${server}
      number=${open}
      isBusy=${isBusy}
      onUse=${canChange && open !== server.version ? () => activate(open) : null}
      onClose=${() => setOpen(null)}
    />`}
  </section>`;
}

/**
 * What the version that was put into use last is to the server now.
 * @param {{ server: Server }} props
 */
function Use({ server }) {
  const use = versionUse(server);
  return html`<span class=${use === "inUse" ? "in-use" : "tag"} data-use=${use}>${t(`versions.${use}`)}</span>`;
}

/**
 * @param {{ server: Server, number: number, isBusy: boolean, onUse: (() => void) | null, onClose: () => void }} props
 */
function VersionDialog({ server, number, isBusy, onUse, onClose }) {
  const isInUse = number === server.version;
  const [view, setView] = useState(/** @type {"code" | "changes"} */ (isInUse ? "code" : "changes"));
  const [texts, setTexts] = useState(/** @type {{ shown: string, inUse: string } | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const load = async () => {
    setError(null);
    try {
      const read = (/** @type {number} */ n) => callForText("GET", serverPath(server.id, `/versions/${n}/code`));
      const shown = await read(number);
      setTexts({ shown, inUse: isInUse ? shown : await read(server.version) });
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [server.id, server.version, number]);
  return html`<${Dialog} title=${t("versions.number", { n: number })} class="wide" onClose=${onClose}>
    <div class="panel-head">
      ${isInUse
        ? html`<${Use} server=${server} />`
        : html`<${Choice}
            label=${t("code.view")}
            value=${view}
            onChange=${setView}
            options=${[
              ["code", t("code.view.code")],
              ["changes", t("code.view.changes", { n: server.version })],
            ]}
          />`}
      ${texts && html`<${CopyButton} text=${texts.shown} label=${t("versions.number", { n: number })} />`}
    </div>
    ${!texts && (error ? html`<${ReadFailure} error=${error} onRetry=${load} />` : html`<${Loading} />`)}
    ${texts &&
    (view === "changes"
      ? html`<${CodeDiff} before=${texts.inUse} after=${texts.shown} label=${t("diff.label", { from: server.version, to: number })} />`
      : html`<${CodeEditor} value=${texts.shown} label=${t("versions.number", { n: number })} />`)}
    <footer>
      <button type="button" class="button" onClick=${onClose}>${t("action.close")}</button>
      ${onUse && html`<button type="button" class="button primary" disabled=${isBusy || !texts} onClick=${onUse}>${t("versions.use")}</button>`}
    </footer>
  <//>`;
}
