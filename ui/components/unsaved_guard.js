// Asks before unsaved changes are left behind.

import { html, useEffect, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { guardLeaving, letLeave } from "../lib/unsaved.js";
import { Dialog } from "./controls.js";

/** @param {{ isDirty: boolean, onLeave?: () => void }} props `onLeave` forgets the changes */
export function UnsavedGuard({ isDirty, onLeave }) {
  const [wanted, setWanted] = useState(/** @type {string | null} */ (null));
  useEffect(() => (isDirty ? guardLeaving(setWanted) : undefined), [isDirty]);
  if (wanted === null) return null;
  const stay = () => setWanted(null);
  const leave = () => {
    letLeave();
    onLeave?.();
    setWanted(null);
    go(wanted);
  };
  return html`<${Dialog} title=${t("unsaved.title")} onClose=${stay}>
    <p>${t("unsaved.text")}</p>
    <footer>
      <button type="button" class="button danger" onClick=${leave}>${t("unsaved.leave")}</button>
      <button type="button" class="button primary" onClick=${stay}>${t("unsaved.stay")}</button>
    </footer>
  <//>`;
}
