// The versions of a server's code; an earlier one can be put into use again.

import { html, useState } from "../../vendor/preact.js";
import { Failure, Time } from "../../components/controls.js";
import { call, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll, useLive } from "../../lib/live.js";
import { canWrite } from "../../lib/session.js";
import { failed } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server }} props */
export function Versions({ server }) {
  /** @type {import("../../lib/live.js").Live<{ versions: import("../../lib/types.js").CodeVersion[] }>} */
  const live = useLive(serverPath(server.name, "/versions"));
  const [isBusy, setBusy] = useState(false);
  /** @param {number} number */
  const activate = async (number) => {
    setBusy(true);
    try {
      await call("POST", serverPath(server.id, `/versions/${number}/activate`));
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
        (version) => html`<li key=${version.number}>
          <span>
            <strong>${t("versions.number", { n: version.number })}</strong>
            <span class="hint">${version.uploaded_by} · <${Time} at=${version.uploaded_at} /> · <span class="mono" title=${version.sha256}>${version.sha256.slice(0, 8)}</span></span>
          </span>
          ${version.number === server.version
            ? html`<span class="in-use">${t("versions.inUse")}</span>`
            : canWrite.value &&
              html`<button type="button" class="button small" disabled=${isBusy} onClick=${() => activate(version.number)}>${t("versions.use")}</button>`}
        </li>`,
      )}
    </ol>
  </section>`;
}
