// What stands where there is no server yet: how to get the first one.

import { html } from "../vendor/preact.js";
import { ownWords } from "../lib/coded.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { href } from "../lib/router.js";
import { may } from "../lib/session.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Template} Template */

export function FirstServer() {
  return html`<div class="empty">
    <h2>${t("servers.none")}</h2>
    <p>${t("servers.noneHint")}</p>
    ${may("create_servers")
      ? html`
          <a class="button primary" href=${href(["new"])}><${Icon} name="plus" />${t("servers.first")}</a>
          <${Templates} />
        `
      : html`<p>${t("servers.noneViewer")}</p>`}
  </div>`;
}

function Templates() {
  /** @type {import("../lib/live.js").Live<{ templates: Template[] }>} */
  const live = useLive("/api/templates");
  const templates = live.data.value?.templates ?? [];
  if (templates.length === 0) return null;
  return html`
    <h3>${t("servers.templates")}</h3>
    <ul class="templates">
      ${templates.map(
        ({ id, title, description }) => html`<li key=${id}>
          <a class="template" href=${href(["new"], { template: id })}>
            <strong><${Text} text=${ownWords(`template.${id}`, title)} /></strong>
            <span><${Text} text=${ownWords(`template.${id}.about`, description)} /></span>
          </a>
        </li>`,
      )}
    </ul>
  `;
}
