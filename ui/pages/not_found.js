import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";

export function NotFoundPage() {
  return html`<div class="empty">
    <h1>${t("page.notFound")}</h1>
    <p>${t("page.notFoundHint")}</p>
    <a class="button primary" href=${href(["overview"])}>${t("nav.overview")}</a>
  </div>`;
}
