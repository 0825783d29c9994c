// Code, by dropping or choosing a file, or by writing it. There is one text in
// the end, so that a chosen file can be looked at and mended before it is sent.

import { html, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { CODE_MAX_BYTES, codeProblem } from "../lib/rules.js";
import { sourceText } from "../lib/source.js";
import { CodeEditor, EditorHint } from "./code_editor.js";
import { Icon } from "./icon.js";

/**
 * @param {{
 *   code: string, onCode: (code: string, fileName?: string) => void, label: string,
 *   marks?: import("./code_editor.js").Mark[], goTo?: import("../lib/types.js").Place | null, more?: unknown,
 * }} props
 */
export function CodeInput({ code, onCode, label, marks, goTo, more }) {
  const chooser = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [isOver, setOver] = useState(false);
  const [refusal, setRefusal] = useState("");

  /** @param {File | undefined} file */
  const take = async (file) => {
    if (!file) return;
    const read = await readPython(file);
    setRefusal("problem" in read ? t(`code.refused.${read.problem}`, { file: file.name, size: kibibytes(file.size) }) : "");
    if ("text" in read) onCode(read.text, file.name);
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
    ${codeProblem(code) === "large" && html`<p class="hint bad" role="alert">${t("code.tooLarge")}</p>`}
    <${CodeEditor} value=${code} onChange=${onCode} label=${label} marks=${marks} goTo=${goTo} />
    <${EditorHint} />
  </div>`;
}

/**
 * The text of a file, or why it cannot be Python source.
 * @param {File} file
 * @returns {Promise<{ text: string } | { problem: "large" | "unreadable" | "binary" }>}
 */
async function readPython(file) {
  if (file.size > CODE_MAX_BYTES) return { problem: "large" };
  /** @type {ArrayBuffer} */
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch {
    // A folder was dropped, or the file is gone.
    return { problem: "unreadable" };
  }
  const text = sourceText(bytes);
  return text === null || text.includes("\0") ? { problem: "binary" } : { text };
}

/** @param {number} bytes */
function kibibytes(bytes) {
  return `${Math.ceil(bytes / 1024)} KiB`;
}
