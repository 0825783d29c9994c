// A server that is not there (any more), and what was typed on its page.

import { html } from "../../vendor/preact.js";
import { CopyButton } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { download } from "../../lib/download.js";
import { t } from "../../lib/i18n.js";
import { href } from "../../lib/router.js";

/** @param {{ name: string }} props */
export function Gone({ name }) {
  return html`<div class="empty">
    <h1>${t("server.gone", { name })}</h1>
    <p>${t("server.goneHint")}</p>
    <a class="button primary" href=${href(["servers"])}>${t("nav.servers")}</a>
  </div>`;
}

/**
 * Stands above what was typed, which stays as it is.
 * @param {{ name: string, kept: import("../../lib/unsaved.js").Unsaved }} props
 */
export function GoneUnsaved({ name, kept }) {
  return html`
    <div class="page-head"><h1>${t("server.gone", { name })}</h1></div>
    <div class="notice bad" role="alert">
      <${Icon} name="error" />
      <p>${t("server.goneUnsaved")}</p>
      <${CopyButton} text=${kept.text} label=${kept.name} />
      <button type="button" class="button small" onClick=${() => download(kept.name, [kept.text()], "text/plain")}>
        <${Icon} name="download" />${t("server.goneDownload", { file: kept.name })}
      </button>
    </div>
  `;
}
