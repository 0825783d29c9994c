// Start, stop, restart, logs.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { href } from "../lib/router.js";
import { act, actionsFor, can, isActing } from "../lib/servers.js";
import { Icon } from "./icon.js";

/**
 * @param {{ server: import("../lib/types.js").Server, isCompact?: boolean, hasLogs?: boolean }} props
 */
export function QuickActions({ server, isCompact = false, hasLogs = true }) {
  const look = isCompact ? "button icon-only quiet" : "button small";
  return html`<div class="row-of-buttons">
    ${can(server, "act") &&
    actionsFor(server).map((action) => {
      const words = t(`action.${action}`);
      return html`<button
        key=${action}
        type="button"
        class=${look}
        aria-label=${`${words}: ${server.name}`}
        title=${isCompact ? words : undefined}
        disabled=${isActing(server.id)}
        onClick=${() => act(server, action)}
      >
        <${Icon} name=${action} />${!isCompact && words}
      </button>`;
    })}
    ${hasLogs &&
    html`<a class=${look} href=${href(["servers", server.name, "logs"])} aria-label=${`${t("tab.logs")}: ${server.name}`} title=${isCompact ? t("tab.logs") : undefined}>
      <${Icon} name="logs" />${!isCompact && t("tab.logs")}
    </a>`}
  </div>`;
}
