// Changes what a server needs no new code for.

import { html, useState } from "../vendor/preact.js";
import { call, serverPath } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { refreshAll } from "../lib/live.js";
import { isEntryObject } from "../lib/rules.js";
import { Dialog, Failure, Field } from "./controls.js";
import { RuntimeChoice } from "./runtime_choice.js";

const MIB = 1024 * 1024;

/** @param {{ server: import("../lib/types.js").Server, onClose: () => void }} props */
export function SettingsDialog({ server, onClose }) {
  const [draft, setDraft] = useState({
    description: server.description,
    entryObject: server.entry_object,
    runtime: server.runtime,
    memory: String(Math.round(server.limits.memory_bytes / MIB)),
    cpus: String(server.limits.cpus),
    pids: String(server.limits.pids),
  });
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  /** @param {Partial<typeof draft>} part */
  const change = (part) => setDraft({ ...draft, ...part });
  const badEntry = !isEntryObject(draft.entryObject);

  /** @param {Event} [event] */
  const save = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    const json = {
      description: draft.description,
      entry_object: draft.entryObject,
      runtime: draft.runtime,
      limits: { memory_bytes: Number(draft.memory) * MIB, cpus: Number(draft.cpus), pids: Number(draft.pids) },
    };
    try {
      await call("PATCH", serverPath(server.id), { json });
      refreshAll();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const limit = (/** @type {"memory" | "cpus" | "pids"} */ key, /** @type {string} */ label, /** @type {string} */ step) => html`<${Field} label=${label}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      type="number"
      min=${step}
      step=${step}
      required
      value=${draft[key]}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => change({ [key]: event.currentTarget.value })}
    />`}
  <//>`;

  return html`<${Dialog} title=${t("overview.settings")} onClose=${onClose}>
    <form onSubmit=${save}>
      <${Field} label=${t("server.description")}>
        ${(/** @type {object} */ attributes) => html`<textarea
          ...${attributes}
          rows="3"
          value=${draft.description}
          onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => change({ description: event.currentTarget.value })}
        ></textarea>`}
      <//>
      <${Field} label=${t("server.entryObject")} problem=${badEntry ? t("create.entryBad") : null}>
        ${(/** @type {object} */ attributes) => html`<input
          ...${attributes}
          class="mono"
          spellcheck="false"
          value=${draft.entryObject}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => change({ entryObject: event.currentTarget.value.trim() })}
        />`}
      <//>
      <div class="field">
        <span class="label">${t("server.runtime")}</span>
        <${RuntimeChoice} value=${draft.runtime} onChange=${(/** @type {typeof draft.runtime} */ runtime) => change({ runtime })} />
      </div>
      <div class="three">${limit("memory", t("settings.memoryMib"), "1")}${limit("cpus", t("overview.cpus"), "0.1")}${limit("pids", t("overview.pids"), "1")}</div>
      <p class="hint">${t("settings.hint")}</p>
      <${Failure} error=${error} onRetry=${save} />
      <footer>
        <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
        <button type="submit" class="button primary" disabled=${isBusy || badEntry}>${t("action.save")}</button>
      </footer>
    </form>
  <//>`;
}
