// A line of output: text nodes only, whatever it holds.

import { html } from "../vendor/preact.js";
import { parseAnsi, withMatches } from "../lib/ansi.js";
import { t } from "../lib/i18n.js";

/** A longer line is cut where it is shown; the downloaded log has all of it. */
export const LINE_MAX_CHARS = 4_000;

/** @param {{ line: string, search?: string }} props `search` is marked */
export function AnsiText({ line, search = "" }) {
  const cut = line.length > LINE_MAX_CHARS;
  const segments = withMatches(parseAnsi(cut ? line.slice(0, LINE_MAX_CHARS) : line), search);
  return html`${segments.map(({ text, style, isMatch }) =>
    isMatch
      ? html`<mark class=${ansiClass(style)}>${text}</mark>`
      : html`<span class=${ansiClass(style)} style=${ansiStyle(style)}>${text}</span>`,
  )}${cut && html`<span class="log-cut"> ${t("logs.cut", { n: line.length - LINE_MAX_CHARS })}</span>`}`;
}

/** @param {import("../lib/ansi.js").Style} style */
function ansiClass(style) {
  const classes = [
    typeof style.fg === "number" && `fg-${style.fg}`,
    typeof style.bg === "number" && `bg-${style.bg}`,
    style.bold && "bold",
    style.dim && "dim",
    style.italic && "italic",
    style.underline && "underline",
    style.inverse && "inverse",
  ].filter(Boolean);
  return classes.length > 0 ? classes.join(" ") : undefined;
}

/** @param {import("../lib/ansi.js").Style} style */
function ansiStyle(style) {
  const color = typeof style.fg === "string" ? style.fg : undefined;
  const backgroundColor = typeof style.bg === "string" ? style.bg : undefined;
  return color || backgroundColor ? { color, backgroundColor } : undefined;
}
