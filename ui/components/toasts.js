import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { dismiss, toasts } from "../lib/toasts.js";
import { Icon } from "./icon.js";

/** The messages in the corner; see lib/toasts.js. */
export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      ({ id, kind, text, retry }) => html`<div key=${id} class="toast" data-kind=${kind}>
        <${Icon} name=${kind === "done" ? "check" : "error"} />
        <p dir="auto">${text}</p>
        ${retry &&
        html`<button type="button" class="button small" onClick=${() => {
          dismiss(id);
          void retry();
        }}>${t("action.retry")}</button>`}
        <button type="button" class="button icon-only quiet" aria-label=${t("action.close")} onClick=${() => dismiss(id)}><${Icon} name="close" /></button>
      </div>`,
    )}
  </div>`;
}
