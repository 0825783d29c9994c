// How this EMCP is set up, for administrators; to read and to copy.

import { html } from "../vendor/preact.js";
import { CopyButton, Failure, Loading } from "../components/controls.js";
import { Text } from "../components/text.js";
import { isKey, t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { amount } from "../lib/units.js";
import { settingRows } from "../lib/setting_rows.js";
import { exact } from "../lib/time.js";

/** @typedef {import("../lib/setting_rows.js").Row} Row */

/** A sentence of EMCP's own, in English, that says what the state beside it does. */
const TOLD_BY_STATE = "firewall.message";

export function SettingsPage() {
  /** @type {import("../lib/live.js").Live<import("../lib/types.js").Documents["SettingsView"]>} */
  const live = useLive("/api/settings");
  return html`
    <div class="page-head"><h1>${t("nav.settings")}</h1></div>
    <p class="lead">${t("setting.lead")}</p>
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${live.data.value
      ? html`<dl class="settings panel">${settingRows(live.data.value).filter(({ key }) => key !== TOLD_BY_STATE).map((row) => html`<${Setting} key=${row.key} row=${row} />`)}</dl>`
      : !live.error.value && html`<${Loading} />`}
  `;
}

/** @param {{ row: Row }} props */
function Setting({ row }) {
  const key = `setting.${row.key}`;
  const label = isKey(key) ? t(key) : row.key;
  const text = words(row);
  return html`<div>
    <dt>${label}</dt>
    <dd><span class="mono"><${Text} text=${text} /></span>${text !== t("setting.none") && html`<${CopyButton} text=${row.kind === "plain" ? text : String(row.value)} label=${label} />`}</dd>
  </div>`;
}

/** @param {Row} row */
function words({ key, kind, value }) {
  if (value === null || value === undefined || value === "") return t("setting.none");
  if (typeof value === "boolean") return t(value ? "setting.yes" : "setting.no");
  if (kind === "bytes") return amount(Number(value));
  if (kind === "seconds") return t("setting.seconds", { n: Number(value) });
  // Its value is a code of EMCP's own.
  const named = `setting.${value}`;
  if (key === "certificate" && isKey(named)) return t(named);
  const state = `setting.firewall.${value}`;
  if (key === "firewall.state" && isKey(state)) return t(state);
  if (kind === "time") return exact(String(value));
  return String(value);
}
