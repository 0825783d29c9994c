// Changes what a server needs no new code for.

import { html, useState } from "../vendor/preact.js";
import { call, serverPath } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { refreshAll } from "../lib/live.js";
import { isEntryObject } from "../lib/rules.js";
import { sleepDraft, sleepOf, sleepProblem } from "../lib/sleep.js";
import { Dialog, Failure, Field } from "./controls.js";
import { areLimitsGood, EntryField, LimitFields, limitsDraft, limitsOf } from "./option_fields.js";
import { EgressChoice, PassHeadersField, passHeadersOf, SleepFields } from "./run_options.js";
import { RuntimeChoice } from "./runtime_choice.js";

/** @param {{ server: import("../lib/types.js").Server, onClose: () => void }} props */
export function SettingsDialog({ server, onClose }) {
  const [draft, setDraft] = useState({
    description: server.description,
    entryObject: server.entry_object,
    runtime: server.runtime,
    limits: limitsDraft(server.limits),
    egress: server.egress ?? "open",
    passHeaders: (server.pass_headers ?? []).join(", "),
    sleep: sleepDraft(server.sleep),
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
      limits: limitsOf(draft.limits),
      pass_headers: passHeadersOf(draft.passHeaders),
      sleep: sleepOf(draft.sleep),
      // To send it takes a new container, also where it stays what it is.
      ...(draft.egress === server.egress ? {} : { egress: draft.egress }),
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
      <${EntryField}
        value=${draft.entryObject}
        known=${[]}
        problem=${badEntry ? t("create.entryBad") : null}
        onChange=${(/** @type {string} */ entryObject) => change({ entryObject })}
      />
      <div class="field">
        <span class="label">${t("server.runtime")}</span>
        <${RuntimeChoice} value=${draft.runtime} onChange=${(/** @type {typeof draft.runtime} */ runtime) => change({ runtime })} />
      </div>
      <${LimitFields} draft=${draft.limits} onDraft=${(/** @type {typeof draft.limits} */ limits) => change({ limits })} />
      <${EgressChoice} value=${draft.egress} onChange=${(/** @type {typeof draft.egress} */ egress) => change({ egress })} />
      <${PassHeadersField} value=${draft.passHeaders} onChange=${(/** @type {string} */ passHeaders) => change({ passHeaders })} />
      <${SleepFields} draft=${draft.sleep} onDraft=${(/** @type {typeof draft.sleep} */ sleep) => change({ sleep })} />
      <p class="hint">${t("settings.hint")}</p>
      <${Failure} error=${error} onRetry=${save} />
      <footer>
        <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
        <button type="submit" class="button primary" disabled=${isBusy || badEntry || !areLimitsGood(draft.limits) || sleepProblem(draft.sleep) !== null}>${t("action.save")}</button>
      </footer>
    </form>
  <//>`;
}
