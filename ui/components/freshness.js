// Whether what the page shows is what is. Said only when it may not be.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { freshness, tryNow } from "../lib/live.js";
import { Icon } from "./icon.js";

export function Freshness() {
  const state = freshness.value;
  // What is there from the beginning is read out when it changes.
  return html`<div class="freshness" role="status">
    ${state === "lost" &&
    html`<div class="notice warn" data-freshness="lost">
      <${Icon} name="building" />
      <p>${t("fresh.lost")}</p>
      <button type="button" class="button small" onClick=${tryNow}>${t("fresh.tryNow")}</button>
    </div>`}
    ${state === "polling" && html`<p class="hint" data-freshness="polling">${t("fresh.polling")}</p>`}
  </div>`;
}
