// With which arguments a server's file runs, what it keeps, where its own
// connections may lead, which credentials are its own, and when it sleeps.

import { html } from "../vendor/preact.js";
import { argsProblem } from "../lib/args.js";
import { t } from "../lib/i18n.js";
import { STORAGE_MAX_MIB, STORAGE_MIN_MIB, storageProblem } from "../lib/kept.js";
import { sleepProblem } from "../lib/sleep.js";
import { Choice, Field } from "./controls.js";

/** @typedef {import("../lib/types.js").Documents["Egress"]} Egress */
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

/** @param {{ text: string, isFixed?: boolean, onText: (text: string) => void }} props `isFixed`: lines cannot hold them */
export function ArgsField({ text, isFixed = false, onText }) {
  const problem = argsProblem(text);
  return html`<${Field} label=${t("args.label")} hint=${t(isFixed ? "args.fixed" : "args.hint")} problem=${problem && t(`args.problem.${problem}`)}>
    ${(/** @type {object} */ attributes) => html`<textarea
      ...${attributes}
      class="mono"
      name="args"
      rows="3"
      dir="ltr"
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
      readonly=${isFixed}
      value=${text}
      onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => onText(event.currentTarget.value)}
    ></textarea>`}
  <//>`;
}

/** @param {{ draft: string, has?: import("../lib/kept.js").Storage, onDraft: (draft: string) => void }} props `has`: what the server has already */
export function StorageField({ draft, has = null, onDraft }) {
  const problem = storageProblem(draft, has);
  const words = problem && t(`storage.problem.${problem}`, { min: STORAGE_MIN_MIB, max: STORAGE_MAX_MIB });
  return html`<${Field} label=${t("storage.label")} hint=${t(has ? "storage.hint.has" : "storage.hint")} problem=${words}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      type="number"
      inputmode="decimal"
      name="storage"
      min=${STORAGE_MIN_MIB}
      max=${STORAGE_MAX_MIB}
      step="any"
      value=${draft}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onDraft(event.currentTarget.value)}
    />`}
  <//>`;
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
