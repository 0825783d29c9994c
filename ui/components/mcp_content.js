// What a server answers, shown as what it is: text as text, pictures and sounds
// of the known kinds, the rest as a file to keep. Nothing of it is ever HTML.

import { html } from "../vendor/preact.js";
import { download } from "../lib/download.js";
import { t } from "../lib/i18n.js";
import { CopyButton } from "./controls.js";
import { Icon } from "./icon.js";

/** A longer text is cut where it is shown: a browser takes seconds to lay out a million characters. */
const TEXT_MAX_CHARS = 50_000;

/** Kinds that a browser shows without running anything in them. */
const IMAGES = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;
const SOUNDS = /^audio\/(mpeg|mp3|mp4|aac|ogg|opus|wav|x-wav|wave|webm|flac)$/;
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

/** @typedef {Record<string, any>} Content a part of an answer (MCP, "ContentBlock") */

/** @param {{ content: Content[] }} props */
export function Contents({ content }) {
  if (content.length === 0) return html`<p class="hint">${t("tools.empty")}</p>`;
  return html`<ol class="contents">${content.map((part) => html`<li><${ContentPart} part=${part} /></li>`)}</ol>`;
}

/** @param {{ part: Content }} props */
function ContentPart({ part }) {
  if (part?.type === "text" && typeof part.text === "string") return html`<${TextBlock} text=${part.text} name="result.txt" />`;
  if ((part?.type === "image" || part?.type === "audio") && typeof part.data === "string") {
    return html`<${Media} data=${part.data} mimeType=${String(part.mimeType ?? "")} />`;
  }
  if (part?.type === "resource" && part.resource) return html`<${ResourceContent} resource=${part.resource} />`;
  if (part?.type === "resource_link") {
    return html`<p><${Icon} name="link" /> <bdi class="mono">${String(part.uri)}</bdi> <bdi>${String(part.title ?? part.name ?? "")}</bdi></p>`;
  }
  return html`<${JsonBlock} value=${part} name="content.json" />`;
}

/** @param {{ resource: Content }} props */
export function ResourceContent({ resource }) {
  const { uri, mimeType, text, blob } = resource;
  const name = fileName(String(uri ?? ""));
  return html`<div class="resource">
    <p class="hint"><bdi class="mono">${String(uri ?? "")}</bdi>${mimeType && html` · <bdi>${String(mimeType)}</bdi>`}</p>
    ${typeof text === "string" && html`<${TextBlock} text=${text} name=${name} />`}
    ${typeof blob === "string" && html`<${Media} data=${blob} mimeType=${String(mimeType ?? "")} name=${name} />`}
  </div>`;
}

/** @param {{ data: string, mimeType: string, name?: string }} props `data` is base64 */
function Media({ data, mimeType, name = "result" }) {
  const isBase64 = BASE64.test(data);
  const kind = mimeType.toLowerCase();
  const url = `data:${kind};base64,${data.replace(/\s/g, "")}`;
  const size = Math.floor((data.length * 3) / 4);
  const save = () => download(name, [Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], "application/octet-stream");
  return html`<figure class="media">
    ${isBase64 && IMAGES.test(kind) && html`<img src=${url} alt=${t("tools.image")} />`}
    ${isBase64 && SOUNDS.test(kind) && html`<audio controls src=${url} aria-label=${t("tools.audio")}></audio>`}
    <figcaption class="hint">
      <bdi>${mimeType || t("tools.binary")}</bdi> · ${t("tools.bytes", { n: size })}
      ${isBase64
        ? html` <button type="button" class="button small" onClick=${save}><${Icon} name="download" />${t("logs.download")}</button>`
        : html` · ${t("tools.notEncoded")}`}
    </figcaption>
  </figure>`;
}

/** @param {{ value: unknown, name: string }} props */
export function JsonBlock({ value, name }) {
  return html`<${TextBlock} text=${JSON.stringify(value, null, 2) ?? "null"} name=${name} />`;
}

/** @param {{ text: string, name: string }} props */
export function TextBlock({ text, name }) {
  const isCut = text.length > TEXT_MAX_CHARS;
  return html`<div class="text-block">
    <pre tabindex="0" dir="auto">${isCut ? text.slice(0, TEXT_MAX_CHARS) : text}</pre>
    <div class="row-of-buttons">
      ${isCut && html`<span class="hint">${t("tools.cut", { n: TEXT_MAX_CHARS, all: text.length })}</span>`}
      <${CopyButton} text=${text} label=${name} />
      ${isCut &&
      html`<button type="button" class="button small" onClick=${() => download(name, [text], "text/plain;charset=utf-8")}>
        <${Icon} name="download" />${t("logs.download")}
      </button>`}
    </div>
  </div>`;
}

/**
 * A name for a file from the end of its address.
 * @param {string} uri
 */
function fileName(uri) {
  const last = uri.split(/[/\\?#]/).filter(Boolean).at(-1) ?? "";
  return last.replace(/[^\w.-]/g, "_").slice(-80) || "resource";
}
