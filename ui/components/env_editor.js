// The variables of a server: plain ones with their value, secret ones whose
// value can be replaced and is never shown again.

import { html, useId, useState } from "../vendor/preact.js";
import { looksSecret, parseDotEnv } from "../lib/dotenv.js";
import { t } from "../lib/i18n.js";
import { envKeyProblem } from "../lib/rules.js";
import { Dialog } from "./controls.js";
import { Icon } from "./icon.js";

/**
 * @typedef {object} Row
 * @property {number} id
 * @property {string} key
 * @property {string} value
 * @property {boolean} isSecret
 * @property {boolean} isStored the value is kept by the server and not sent
 */

let lastId = 0;

/**
 * @param {Partial<Row>} [row]
 * @returns {Row}
 */
export function newRow(row = {}) {
  lastId += 1;
  return { key: "", value: "", isSecret: false, isStored: false, ...row, id: lastId };
}

/** @param {import("../lib/types.js").EnvVar[]} vars as the API shows them */
export function rowsOf(vars) {
  return vars.map(({ key, value = "", is_secret }) => newRow({ key, value: is_secret ? "" : value, isSecret: is_secret, isStored: is_secret }));
}

/**
 * What the API takes. A stored secret goes without its value, which keeps it.
 * @param {Row[]} rows
 * @returns {import("../lib/types.js").EnvVar[]}
 */
export function varsOf(rows) {
  return rows
    .filter((row) => row.key !== "" || row.value !== "")
    .map(({ key, value, isSecret, isStored }) => (isStored ? { key, is_secret: true } : { key, value, is_secret: isSecret }));
}

/**
 * What is wrong with a row's key, in words, or null.
 * @param {Row} row
 * @param {Row[]} rows
 */
export function rowProblem(row, rows) {
  if (row.key === "") return row.value === "" ? null : t("env.keyMissing");
  const problem = envKeyProblem(row.key);
  if (problem) return t(`env.key.${problem}`);
  if (row.isSecret && !row.isStored && row.value === "") return t("env.secretEmpty");
  return rows.some((other) => other !== row && other.key === row.key) ? t("env.keyTwice") : null;
}

/** @param {{ rows: Row[], onRows: (rows: Row[]) => void, isReadOnly?: boolean }} props */
export function EnvEditor({ rows, onRows, isReadOnly = false }) {
  const [isPasting, setPasting] = useState(false);
  /**
   * @param {number} id
   * @param {Partial<Row>} change
   */
  const change = (id, change) => onRows(rows.map((row) => (row.id === id ? { ...row, ...change } : row)));

  return html`<div class="env">
    ${rows.length === 0 && html`<p class="hint">${t("env.none")}</p>`}
    <ul class="env-rows">
      ${rows.map(
        (row) => html`<${EnvRow}
          key=${row.id}
          row=${row}
          problem=${rowProblem(row, rows)}
          isReadOnly=${isReadOnly}
          onChange=${(/** @type {Partial<Row>} */ part) => change(row.id, part)}
          onRemove=${() => onRows(rows.filter((other) => other.id !== row.id))}
        />`,
      )}
    </ul>
    ${!isReadOnly &&
    html`<div class="row-of-buttons">
      <button type="button" class="button small" onClick=${() => onRows([...rows, newRow()])}><${Icon} name="plus" />${t("env.add")}</button>
      <button type="button" class="button small" onClick=${() => onRows([...rows, newRow({ isSecret: true })])}>
        <${Icon} name="lock" />${t("env.addSecret")}
      </button>
      <button type="button" class="button small" onClick=${() => setPasting(true)}><${Icon} name="upload" />${t("env.paste")}</button>
    </div>`}
    ${isPasting && html`<${PasteDialog} onClose=${() => setPasting(false)} onRows=${(/** @type {Row[]} */ pasted) => onRows(merged(rows, pasted))} />`}
  </div>`;
}

/**
 * @param {{ row: Row, problem: string | null, isReadOnly: boolean, onChange: (part: Partial<Row>) => void, onRemove: () => void }} props
 */
function EnvRow({ row, problem, isReadOnly, onChange, onRemove }) {
  const id = useId();
  const name = row.key || t("env.key");
  return html`<li>
    <input
      class="mono"
      aria-label=${t("env.key")}
      aria-invalid=${Boolean(problem)}
      aria-describedby=${id}
      placeholder=${t("env.keyExample")}
      value=${row.key}
      readonly=${isReadOnly || row.isStored}
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onChange({ key: event.currentTarget.value.trim() })}
    />
    ${row.isStored
      ? html`<span class="stored mono" title=${t("env.storedHint")}>******</span>`
      : row.value.includes("\n")
        ? html`<textarea
            class="mono"
            rows="3"
            aria-label=${t("env.valueOf", { key: name })}
            value=${row.value}
            onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => onChange({ value: event.currentTarget.value })}
          ></textarea>`
        : html`<input
            class="mono"
            type=${row.isSecret ? "password" : "text"}
            aria-label=${t("env.valueOf", { key: name })}
            placeholder=${row.isSecret ? t("env.secretValue") : t("env.value")}
            value=${row.value}
            readonly=${isReadOnly}
            autocomplete=${row.isSecret ? "new-password" : "off"}
            spellcheck=${false}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onChange({ value: event.currentTarget.value })}
          />`}
    ${row.isStored
      ? html`<span class="secret-mark"><${Icon} name="lock" />${t("env.secret")}</span>`
      : html`<label class="check">
          <input type="checkbox" checked=${row.isSecret} disabled=${isReadOnly} onChange=${() => onChange({ isSecret: !row.isSecret })} />
          ${t("env.secret")}
        </label>`}
    ${!isReadOnly &&
    html`<span class="row-of-buttons">
      ${row.isStored &&
      html`<button type="button" class="button small" aria-label=${t("env.replaceOf", { key: name })} onClick=${() => onChange({ isStored: false })}>
        ${t("env.replace")}
      </button>`}
      <button type="button" class="button icon-only quiet" aria-label=${t("env.removeOf", { key: name })} title=${t("action.remove")} onClick=${onRemove}>
        <${Icon} name="trash" />
      </button>
    </span>`}
    <p id=${id} class="hint bad" aria-live="polite">${problem}</p>
  </li>`;
}

/** @param {{ onClose: () => void, onRows: (rows: Row[]) => void }} props */
function PasteDialog({ onClose, onRows }) {
  const [text, setText] = useState("");
  const { pairs, badLines } = parseDotEnv(text);
  const take = () => {
    onRows(pairs.map(({ key, value }) => newRow({ key, value, isSecret: looksSecret(key) })));
    onClose();
  };
  return html`<${Dialog} title=${t("env.paste")} onClose=${onClose}>
    <p>${t("env.pasteHint")}</p>
    <textarea
      class="mono"
      rows="9"
      aria-label=${t("env.paste")}
      spellcheck=${false}
      placeholder=${'API_KEY=…\nBASE_URL="https://example.com"'}
      value=${text}
      onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => setText(event.currentTarget.value)}
    ></textarea>
    <p class=${badLines.length > 0 ? "hint bad" : "hint"} aria-live="polite">
      ${badLines.length > 0 ? t("env.pasteBad", { lines: badLines.join(", ") }) : t("env.pasteFound", { n: pairs.length })}
    </p>
    <footer>
      <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
      <button type="button" class="button primary" disabled=${pairs.length === 0} onClick=${take}>${t("env.pasteTake")}</button>
    </footer>
  <//>`;
}

/**
 * Pasted variables replace those of the same key. One that was a secret stays
 * one, whatever its name sounds like.
 * @param {Row[]} rows
 * @param {Row[]} pasted
 */
function merged(rows, pasted) {
  const kept = rows.filter((row) => row.key !== "" || row.value !== "");
  const replaced = kept.map((row) => {
    const match = pasted.find((other) => other.key === row.key);
    return match ? { ...row, value: match.value, isStored: false } : row;
  });
  return [...replaced, ...pasted.filter((row) => !kept.some((known) => known.key === row.key))];
}
