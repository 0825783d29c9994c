// Where a server's own connections may lead, which credentials are its own, and when it sleeps.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { sleepProblem } from "../lib/sleep.js";
import { Choice, Field } from "./controls.js";

/** @typedef {"open" | "none"} Egress */
/** @typedef {import("../lib/sleep.js").SleepDraft} SleepDraft */

/** @param {{ value: Egress, onChange: (value: Egress) => void }} props */
export function EgressChoice({ value, onChange }) {
  return html`<div class="field">
    <span class="label">${t("egress.label")}</span>
    <${Choice}
      label=${t("egress.label")}
      value=${value}
      onChange=${onChange}
      options=${[
        ["open", t("egress.open")],
        ["none", t("egress.none")],
      ]}
    />
    <p class="hint">${t(`egress.hint.${value}`)}</p>
  </div>`;
}

/**
 * The headers' names of a list as it is typed.
 * @param {string} text
 */
export function passHeadersOf(text) {
  return text.split(/[\s,;]+/).filter((name) => name !== "");
}

/** @param {{ value: string, onChange: (value: string) => void }} props */
export function PassHeadersField({ value, onChange }) {
  return html`<${Field} label=${t("passHeaders.label")} hint=${t("passHeaders.hint")}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      class="mono"
      name="pass_headers"
      placeholder="Authorization"
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
      value=${value}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onChange(event.currentTarget.value)}
    />`}
  <//>`;
}

/** @param {{ draft: SleepDraft, onDraft: (draft: SleepDraft) => void }} props */
export function SleepFields({ draft, onDraft }) {
  const problem = sleepProblem(draft);
  const minutes = (/** @type {"pause" | "stop"} */ key) => html`<${Field} label=${t(`sleep.${key}`)} hint=${t("sleep.empty")}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      type="number"
      inputmode="decimal"
      min="0"
      step="any"
      value=${draft[key]}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onDraft({ ...draft, [key]: event.currentTarget.value })}
    />`}
  <//>`;
  return html`<div class="field">
    <span class="label">${t("sleep.label")}</span>
    <${Choice}
      label=${t("sleep.label")}
      value=${draft.mode}
      onChange=${(/** @type {SleepDraft["mode"]} */ mode) => onDraft({ ...draft, mode })}
      options=${[
        ["platform", t("sleep.mode.platform")],
        ["never", t("sleep.mode.never")],
        ["after", t("sleep.mode.after")],
      ]}
    />
    ${draft.mode === "after" && html`<div class="three">${minutes("pause")}${minutes("stop")}</div>`}
    <p class=${problem ? "hint bad" : "hint"} aria-live="polite">${problem ? t(`sleep.problem.${problem}`) : t("sleep.hint")}</p>
  </div>`;
}
