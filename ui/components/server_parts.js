// What a card and a row of the table have in common.

import { html } from "../vendor/preact.js";
import { chosen, toggle } from "../lib/bulk.js";
import { t } from "../lib/i18n.js";
import { usage } from "../lib/live.js";
import { changing } from "../lib/phases.js";
import { can, differs } from "../lib/servers.js";
import { may } from "../lib/session.js";
import { amount } from "../lib/units.js";
import { Icon } from "./icon.js";
import { StatusBadge } from "./status.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ server: Server }} props */
export function Choose({ server }) {
  if (!may("create_servers")) return null;
  return html`<label class="choose">
    <input
      type="checkbox"
      aria-label=${t("bulk.choose", { name: server.name })}
      checked=${chosen.value.has(server.id)}
      disabled=${!can(server, "act")}
      onChange=${() => toggle(server.id)}
    />
  </label>`;
}

/**
 * Its status, and what it is in the middle of where that is more.
 * @param {{ server: Server }} props
 */
export function ServerStatus({ server }) {
  const change = changing(server);
  if (!change) return html`<${StatusBadge} status=${server.status} />`;
  const words = change === "stopping" ? t("server.stopping") : t("server.restarting");
  return html`<span class="status" data-status=${change}><${Icon} name="building" />${words}</span>`;
}

/**
 * What is wanted, where that is not what is.
 * @param {{ server: Server }} props
 */
export function WantedBadge({ server }) {
  if (!differs(server)) return null;
  return html`<span class="wanted">${t("server.wanted", { what: t(`desired.${server.desired}`) })}</span>`;
}

/**
 * What it uses of the memory it may use.
 * @param {{ server: Server }} props
 */
export function MemoryUse({ server }) {
  const used = usage.value?.servers[server.id];
  const limit = amount(server.limits.memory_bytes);
  return used ? t("server.memoryOf", { used: amount(used.memory_bytes), limit }) : t("server.memoryAtMost", { limit });
}
