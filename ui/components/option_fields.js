// What a server is given to run with, as fields of a form.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { Field } from "./controls.js";

const MIB = 1024 * 1024;

/**
 * Limits as they are typed.
 * @typedef {{ memory: string, cpus: string, pids: string }} LimitsDraft
 */

/** What a server gets that asks for nothing else (src/model/server.rs). */
export const DEFAULT_LIMITS = Object.freeze({ memory: "512", cpus: "1", pids: "128" });

/** The bounds of the API (src/model/server.rs), for the browser's own check. */
const BOUNDS = {
  memory: { min: 64, max: 1024 * 1024, step: 1 },
  cpus: { min: 0.05, max: 256, step: 0.05 },
  pids: { min: 16, max: 32_768, step: 1 },
};

/**
 * @param {import("../lib/types.js").Server["limits"]} limits
 * @returns {LimitsDraft}
 */
export function limitsDraft(limits) {
  return { memory: String(Math.round(limits.memory_bytes / MIB)), cpus: String(limits.cpus), pids: String(limits.pids) };
}

/** @param {LimitsDraft} draft */
export function limitsOf(draft) {
  return { memory_bytes: Number(draft.memory) * MIB, cpus: Number(draft.cpus), pids: Number(draft.pids) };
}

/** @param {LimitsDraft} draft */
export function areLimitsGood(draft) {
  return /** @type {const} */ (["memory", "cpus", "pids"]).every((key) => limitProblem(draft, key) === null);
}

/**
 * @param {LimitsDraft} draft
 * @param {keyof LimitsDraft} key
 */
function limitProblem(draft, key) {
  const value = Number(draft[key]);
  const { min, max } = BOUNDS[key];
  const isWhole = key === "cpus" || Number.isInteger(value);
  return draft[key].trim() !== "" && isWhole && value >= min && value <= max ? null : t("limits.range", { min, max });
}

/** @param {{ draft: LimitsDraft, onDraft: (draft: LimitsDraft) => void }} props */
export function LimitFields({ draft, onDraft }) {
  const field = (/** @type {keyof LimitsDraft} */ key, /** @type {string} */ label) => html`<${Field} label=${label} problem=${limitProblem(draft, key)}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      type="number"
      inputmode="decimal"
      min=${BOUNDS[key].min}
      max=${BOUNDS[key].max}
      step="any"
      required
      value=${draft[key]}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onDraft({ ...draft, [key]: event.currentTarget.value })}
    />`}
  <//>`;
  return html`<div class="three">
    ${field("memory", t("settings.memoryMib"))}${field("cpus", t("overview.cpus"))}${field("pids", t("overview.pids"))}
  </div>`;
}

/**
 * @param {{ value: string, onChange: (text: string) => void, known: string[], hint?: string, problem?: string | null }} props
 *   `known` are the objects that the code has
 */
export function EntryField({ value, onChange, known, hint, problem = null }) {
  return html`<${Field} label=${t("server.entryObject")} hint=${hint} problem=${problem}>
    ${(/** @type {{ id: string }} */ attributes) => html`<input
        ...${attributes}
        class="mono"
        name="entry_object"
        placeholder="mcp"
        list="${attributes.id}-known"
        autocomplete="off"
        autocapitalize="off"
        spellcheck=${false}
        value=${value}
        onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onChange(event.currentTarget.value.trim())}
      /><datalist id="${attributes.id}-known">${known.map((name) => html`<option value=${name}></option>`)}</datalist>`}
  <//>`;
}
