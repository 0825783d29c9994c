// What the keyboard does.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { Dialog } from "./controls.js";

const KEYS = /** @type {const} */ ([
  ["/", "help.search"],
  ["n", "help.new"],
  ["?", "help.help"],
  ["Esc", "help.close"],
  ["Esc, Tab", "help.editor"],
]);

/** @param {{ onClose: () => void }} props */
export function Help({ onClose }) {
  return html`<${Dialog} title=${t("help.title")} onClose=${onClose}>
    <dl class="keys">
      ${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${t(words)}</dd>`)}
    </dl>
  <//>`;
}
