// What a card and a row of the table have in common.

import { html } from "../vendor/preact.js";
import { chosen, toggle } from "../lib/bulk.js";
import { t } from "../lib/i18n.js";
import { usage } from "../lib/live.js";
import { mayChange } from "../lib/servers.js";
import { canWrite } from "../lib/session.js";
import { amount } from "../lib/units.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ server: Server }} props */
export function Choose({ server }) {
  if (!canWrite.value) return null;
  return html`<label class="choose">
    <input
      type="checkbox"
      aria-label=${t("bulk.choose", { name: server.name })}
      checked=${chosen.value.has(server.id)}
      disabled=${!mayChange(server)}
      onChange=${() => toggle(server.id)}
    />
  </label>`;
}

/**
 * What it uses of the memory it may use.
 * @param {{ server: Server }} props
 */
export function MemoryUse({ server }) {
  const used = usage.value ? usage.value.servers[server.id] : server.usage;
  const limit = amount(server.limits.memory_bytes);
  return used ? t("server.memoryOf", { used: amount(used.memory_bytes), limit }) : t("server.memoryAtMost", { limit });
}
