// Changes what a server needs no new code for.

import { html, useState } from "../vendor/preact.js";
import { ApiError, call, serverPath } from "../lib/api.js";
import { argsOf, argsProblem, argsText, fitLines } from "../lib/args.js";
import { t } from "../lib/i18n.js";
import { storageDraft, storageOf, storageProblem } from "../lib/kept.js";
import { refreshAll } from "../lib/live.js";
import { changedFields, mergedFields } from "../lib/merge.js";
import { isEntryObject } from "../lib/rules.js";
import { sleepDraft, sleepOf, sleepProblem } from "../lib/sleep.js";
import { Conflict } from "./conflict.js";
import { Dialog, Failure, Field } from "./controls.js";
import { areLimitsGood, EntryField, LimitFields, limitsDraft, limitsOf } from "./option_fields.js";
import { ArgsField, EgressChoice, PassHeadersField, passHeadersOf, SleepFields, StorageField } from "./run_options.js";
import { RuntimeChoice } from "./runtime_choice.js";
import { UnsavedGuard } from "./unsaved_guard.js";

/** @typedef {import("../lib/types.js").Server} Server */
/** @typedef {ReturnType<typeof draftOf>} Draft */

/**
 * What the form shows of a server.
 * @param {Server} server
 */
function draftOf(server) {
  return {
    description: server.description,
    entryObject: server.entry_object,
    runtime: server.runtime,
    limits: limitsDraft(server.limits),
    args: argsText(server.args),
    storage: storageDraft(server.storage),
    egress: server.egress ?? "open",
    passHeaders: (server.pass_headers ?? []).join(", "),
    sleep: sleepDraft(server.sleep),
  };
}

/**
 * How each field is told: its label, and its value.
 * @type {{ [K in keyof Draft]: { label: () => string, words: (value: Draft[K]) => string } }}
 */
const WORDS = {
  description: { label: () => t("server.description"), words: (text) => text },
  entryObject: { label: () => t("server.entryObject"), words: (name) => name },
  runtime: { label: () => t("server.runtime"), words: (runtime) => t(`runtime.${runtime}`) },
  limits: { label: () => t("conflict.limits"), words: ({ memory, cpus, pids }) => `${memory} MiB · ${cpus} CPU · ${pids}` },
  egress: { label: () => t("egress.label"), words: (egress) => t(`egress.${egress}`) },
  passHeaders: { label: () => t("passHeaders.label"), words: (names) => names },
  args: { label: () => t("args.label"), words: (text) => text },
  storage: { label: () => t("storage.label"), words: String },
  sleep: { label: () => t("sleep.label"), words: ({ mode, pause, stop }) => [t(`sleep.mode.${mode}`), pause, stop].filter(Boolean).join(" · ") },
};

/**
 * What somebody else has changed, and what would be saved in its place.
 * @param {Draft} before
 * @param {Draft} mine
 * @param {Draft} theirs
 * @returns {import("./conflict.js").Difference[]}
 */
function differences(before, mine, theirs) {
  const changedHere = changedFields(before, mine);
  return changedFields(before, theirs).map((key) => {
    const { label, words } = /** @type {{ label: () => string, words: (value: unknown) => string }} */ (WORDS[key]);
    return { label: label(), theirs: words(theirs[key]), ...(changedHere.includes(key) && { mine: words(mine[key]) }) };
  });
}

/** @param {{ server: Server, onClose: () => void }} props */
export function SettingsDialog({ server, onClose }) {
  const [base, setBase] = useState(server);
  const [draft, setDraft] = useState(() => draftOf(server));
  const [other, setOther] = useState(/** @type {Server | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  /** @param {Partial<typeof draft>} part */
  const change = (part) => setDraft({ ...draft, ...part });
  const badEntry = !isEntryObject(draft.entryObject);
  const isChanged = changedFields(draftOf(base), draft).length > 0;

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
      ...(draft.args === argsText(base.args) ? {} : { args: argsOf(draft.args) }),
      ...(draft.storage === storageDraft(base.storage) ? {} : { storage: storageOf(draft.storage) }),
      // To send it takes a new container, also where it stays what it is.
      ...(draft.egress === base.egress ? {} : { egress: draft.egress }),
    };
    try {
      await call("PATCH", serverPath(server.id), { json, ifMatch: base.etags.settings });
      refreshAll();
      onClose();
    } catch (problem) {
      await meet(problem);
      setBusy(false);
    }
  };
  /** @param {unknown} problem */
  const meet = async (problem) => {
    if (!(problem instanceof ApiError) || problem.code !== "precondition_failed") return setError(problem);
    try {
      setOther(await call("GET", serverPath(server.id)));
    } catch (trouble) {
      setError(trouble);
    }
  };
  /** @param {Draft} next */
  const goOn = (next) => {
    if (!other) return;
    setBase(other);
    setDraft(next);
    setOther(null);
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
      <${ArgsField} text=${draft.args} isFixed=${!fitLines(server.args)} onText=${(/** @type {string} */ args) => change({ args })} />
      <${StorageField} draft=${draft.storage} has=${server.storage ?? null} onDraft=${(/** @type {string} */ storage) => change({ storage })} />
      <${LimitFields} draft=${draft.limits} onDraft=${(/** @type {typeof draft.limits} */ limits) => change({ limits })} />
      <${EgressChoice} value=${draft.egress} onChange=${(/** @type {typeof draft.egress} */ egress) => change({ egress })} />
      <${PassHeadersField} value=${draft.passHeaders} onChange=${(/** @type {string} */ passHeaders) => change({ passHeaders })} />
      <${SleepFields} draft=${draft.sleep} onDraft=${(/** @type {typeof draft.sleep} */ sleep) => change({ sleep })} />
      <p class="hint">${t("settings.hint")}</p>
      <${UnsavedGuard} isDirty=${isChanged} kept=${{ name: `${server.name}.txt`, text: () => draft.description }} />
      ${other &&
      html`<${Conflict}
        differences=${differences(draftOf(base), draft, draftOf(other))}
        onMerge=${() => goOn(mergedFields(draftOf(base), draft, draftOf(other)))}
        onTake=${() => goOn(draftOf(other))}
      />`}
      <${Failure} error=${error} onRetry=${save} />
      <footer>
        <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
        <button type="submit" class="button primary" disabled=${isBusy || other !== null || badEntry || argsProblem(draft.args) !== null || storageProblem(draft.storage, base.storage ?? null) !== null || !areLimitsGood(draft.limits) || sleepProblem(draft.sleep) !== null}>${t("action.save")}</button>
      </footer>
    </form>
  <//>`;
}
