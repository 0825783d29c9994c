// Asks before unsaved changes are left behind.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { guardLeaving, letLeave, unsaved } from "../lib/unsaved.js";
import { Dialog } from "./controls.js";

/**
 * @param {{ isDirty: boolean, onLeave?: () => void, kept?: import("../lib/unsaved.js").Unsaved }} props
 *   `onLeave` forgets the changes; `kept` is what they are as a text
 */
export function UnsavedGuard({ isDirty, onLeave, kept }) {
  const [wanted, setWanted] = useState(/** @type {string | null} */ (null));
  const latest = useRef(kept);
  latest.current = kept;
  useEffect(() => {
    if (!isDirty) return undefined;
    const end = guardLeaving(setWanted);
    if (latest.current) unsaved.value = { name: latest.current.name, text: () => latest.current?.text() ?? "" };
    return () => {
      end();
      unsaved.value = null;
    };
  }, [isDirty]);
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
