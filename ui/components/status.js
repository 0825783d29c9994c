// A server's state: what is observed, and what is wanted where that differs.

import { html } from "../vendor/preact.js";
import { reasonWords } from "../lib/coded.js";
import { t } from "../lib/i18n.js";
import { differs } from "../lib/servers.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ status: import("../lib/types.js").Status }} props */
export function StatusBadge({ status }) {
  return html`<span class="status" data-status=${status}><${Icon} name=${status} />${t(`status.${status}`)}</span>`;
}

/** @param {{ server: Server }} props */
export function WantedBadge({ server }) {
  if (!differs(server)) return null;
  return html`<span class="wanted">${t("server.wanted", { what: t(`desired.${server.desired}`) })}</span>`;
}

/** @param {{ server: Server }} props */
export function Reason({ server }) {
  return html`<p class="reason" dir="auto"><${Text} text=${reasonWords(server)} /></p>`;
}
