// Code, by dropping or choosing a file, or by writing it. There is one text in
// the end, so that a chosen file can be looked at and mended before it is sent.

import { html, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { CODE_MAX_BYTES } from "../lib/rules.js";
import { CodeEditor, EditorHint } from "./code_editor.js";
import { Icon } from "./icon.js";

/**
 * @param {{
 *   code: string, onCode: (code: string, fileName?: string) => void, label: string,
 *   problem?: import("./code_editor.js").Problem | null, more?: unknown,
 * }} props
 */
export function CodeInput({ code, onCode, label, problem, more }) {
  const chooser = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [isOver, setOver] = useState(false);
  const [refusal, setRefusal] = useState("");

  /** @param {File | undefined} file */
  const take = async (file) => {
    if (!file) return;
    const text = await readPython(file);
    setRefusal(text === null ? t("code.notPython", { file: file.name }) : "");
    if (text !== null) onCode(text, file.name);
  };
  /** @param {DragEvent} event */
  const onDrop = (event) => {
    event.preventDefault();
    setOver(false);
    void take(event.dataTransfer?.files[0]);
  };
  /** @param {DragEvent} event */
  const onDragOver = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    setOver(true);
  };

  return html`<div class=${isOver ? "code-input over" : "code-input"} onDragOver=${onDragOver} onDragLeave=${() => setOver(false)} onDrop=${onDrop}>
    <div class="code-bar">
      <button type="button" class="button small" onClick=${() => chooser.current?.click()}>
        <${Icon} name="upload" />${t("code.choose")}
      </button>
      <input
        ref=${chooser}
        type="file"
        accept=".py,text/x-python"
        aria-label=${t("code.choose")}
        tabindex="-1"
        hidden
        onChange=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => {
          void take(event.currentTarget.files?.[0]);
          // So that the same file, changed, can be chosen again.
          event.currentTarget.value = "";
        }}
      />
      <span class="hint">${t("code.dropHint")}</span>
      ${more}
    </div>
    ${refusal && html`<p class="hint bad" role="alert" dir="auto">${refusal}</p>`}
    <${CodeEditor} value=${code} onChange=${onCode} label=${label} problem=${problem} />
    <${EditorHint} />
  </div>`;
}

/**
 * The text of a file, or null when it cannot be Python source.
 * @param {File} file
 */
async function readPython(file) {
  if (file.size > CODE_MAX_BYTES) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}
