// A server's state, as it is observed, and why.

import { html } from "../vendor/preact.js";
import { reasonWords } from "../lib/coded.js";
import { t } from "../lib/i18n.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ status: import("../lib/types.js").Status }} props */
export function StatusBadge({ status }) {
  return html`<span class="status" data-status=${status}><${Icon} name=${status} />${t(`status.${status}`)}</span>`;
}

/** @param {{ server: Server }} props */
export function Reason({ server }) {
  return html`<p class="reason" dir="auto"><${Text} text=${reasonWords(server)} /></p>`;
}
