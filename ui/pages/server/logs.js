// The log, and above it why the server failed, where it did.

import { html } from "../../vendor/preact.js";
import { Icon } from "../../components/icon.js";
import { LogView } from "../../components/log_view.js";
import { faultDetail } from "../../lib/coded.js";
import { t } from "../../lib/i18n.js";
import { href } from "../../lib/router.js";

/** @param {{ server: import("../../lib/types.js").Server }} props */
export function LogsTab({ server }) {
  const failure = server.status === "error" ? server.last_error : null;
  return html`
    ${failure?.line &&
    html`<div class="notice bad">
      <${Icon} name="error" />
      <p dir="auto">${faultDetail(failure)}</p>
      <a class="button small" href=${href(["servers", server.name, "code"])}>${t("overview.showLine", { n: failure.line })}</a>
    </div>`}
    <${LogView} serverId=${server.id} name=${server.name} />
  `;
}
