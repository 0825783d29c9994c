// Somebody else has saved what is being changed here. Nothing is overwritten and
// nothing typed is lost: one sees what they did, and goes on from there.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { Icon } from "./icon.js";
import { Text } from "./text.js";

/**
 * What they changed, and what would be saved in its place where that is another.
 * @typedef {{ label: string, theirs: string, mine?: string }} Difference
 */

/** @param {{ differences: Difference[], onMerge: () => void, onTake: () => void }} props */
export function Conflict({ differences, onMerge, onTake }) {
  const notice = useRef(/** @type {HTMLElement | null} */ (null));
  // The form above it may be longer than the window.
  useEffect(() => notice.current?.scrollIntoView({ block: "nearest" }), []);
  return html`<div ref=${notice} class="notice warn conflict" role="alert">
    <${Icon} name="error" />
    <p>${t("conflict.text")}</p>
    ${differences.length === 0 && html`<p>${t("conflict.unseen")}</p>`}
    <dl class="facts">
      ${differences.map(
        ({ label, theirs, mine }) => html`<div class="wide" key=${label}>
          <dt><${Text} text=${label} /></dt>
          <dd class="long-text" dir="auto">
            ${t("conflict.theirs")} <strong><${Text} text=${theirs || "–"} max=${2_000} /></strong>
            ${mine !== undefined && html`<br />${t("conflict.mine")} <strong><${Text} text=${mine || "–"} max=${2_000} /></strong>`}
          </dd>
        </div>`,
      )}
    </dl>
    <span class="row-of-buttons">
      <button type="button" class="button small" onClick=${onMerge}>${t("conflict.merge")}</button>
      <button type="button" class="button small" onClick=${onTake}>${t("conflict.take")}</button>
    </span>
  </div>`;
}
