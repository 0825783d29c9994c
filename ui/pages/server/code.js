// The code in use, and the next version of it: written, checked, compared,
// and put into use.

import { html, useEffect, useMemo, useState } from "../../vendor/preact.js";
import { CheckReport, hasErrors, useMarks } from "../../components/check_report.js";
import { CodeDiff } from "../../components/code_diff.js";
import { CodeEditor } from "../../components/code_editor.js";
import { CodeInput } from "../../components/code_input.js";
import { Choice, Failure, Loading } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { ReadFailure } from "../../components/read_failure.js";
import { UnsavedGuard } from "../../components/unsaved_guard.js";
import { ApiError, call, callForTagged, serverPath } from "../../lib/api.js";
import { useCheck } from "../../lib/check.js";
import { dropDraft, keepDraft, recallDraft } from "../../lib/draft.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { versionFate } from "../../lib/phases.js";
import { codeProblem } from "../../lib/rules.js";
import { done } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").Server} Server */
/** @typedef {{ version: number, text: string, etag: string }} InUse */
/** What is typed, and the tag of the version that it was typed on top of. @typedef {{ text: string, etag: string }} Draft */

/** @param {{ server: Server, canChange: boolean }} props */
export function CodeTab({ server, canChange }) {
  const [inUse, setInUse] = useState(/** @type {InUse | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));

  const load = async () => {
    setError(null);
    try {
      const { body, etag } = await callForTagged("GET", serverPath(server.id, "/code"));
      setInUse({ version: versionOf(etag) ?? server.version, text: body, etag });
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [server.id, server.version]);

  if (!inUse) return error ? html`<${ReadFailure} error=${error} onRetry=${load} />` : html`<${Loading} />`;
  return html`<${NextVersion} server=${server} canChange=${canChange} inUse=${inUse} onInUse=${setInUse} onReload=${load} />`;
}

/**
 * The version that a tag of the code is of.
 * @param {string} etag
 */
function versionOf(etag) {
  const number = /\/(\d+)"$/.exec(etag)?.[1];
  return number === undefined ? null : Number(number);
}

/**
 * What is kept of a draft, unless it is of a dashboard that kept no tag.
 * @param {string} name
 * @returns {Draft | null}
 */
function keptDraft(name) {
  /** @type {Draft | string | null} */
  const kept = recallDraft(name);
  return typeof kept === "string" ? { text: kept, etag: "" } : kept;
}

/**
 * @param {{
 *   server: Server, canChange: boolean, inUse: InUse, onInUse: (inUse: InUse) => void, onReload: () => Promise<void>,
 * }} props
 */
function NextVersion({ server, canChange, inUse, onInUse, onReload }) {
  const draftName = `code.${server.id}`;
  const [draft, setDraft] = useState(() => (canChange ? keptDraft(draftName) : null));
  const [view, setView] = useState(/** @type {"edit" | "changes"} */ ("edit"));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  const [isWarned, setWarned] = useState(false);
  const [goTo, setGoTo] = useState(/** @type {import("../../lib/types.js").Place | null} */ (null));
  const code = draft?.text ?? inUse.text;
  const isChanged = draft !== null && draft.text !== inUse.text;
  // Somebody has put another version into use since this one was begun.
  const isOutdated = isChanged && draft.etag !== inUse.etag;
  const isGood = code.trim() !== "" && codeProblem(code) === null;
  const check = useCheck(isChanged && isGood ? { code, entry_object: server.entry_object, runtime: server.runtime } : null);
  const checkMarks = useMarks(check.answer);
  const failureMarks = useFailureMarks(server);

  useEffect(() => {
    if (isChanged) keepDraft(draftName, draft);
    else dropDraft(draftName);
  }, [draft, isChanged]);
  // Who comes here from a failure looks for its line.
  useEffect(() => setGoTo(failureMarks[0]?.place ?? null), [failureMarks]);

  /** @param {string | null} next */
  const change = (next) => {
    // What is typed on is still on top of what it was begun with.
    setDraft(next === null ? null : { text: next, etag: draft && isChanged ? draft.etag : inUse.etag });
    setError(null);
    setWarned(false);
  };
  const putOnTop = () => {
    setDraft({ text: code, etag: inUse.etag });
    setError(null);
  };
  /** @param {{ anyway?: boolean }} [options] */
  const save = async ({ anyway = false } = {}) => {
    if (!isChanged || !isGood || isBusy || isOutdated) return;
    setBusy(true);
    setError(null);
    try {
      if (!anyway && hasErrors(await check.now())) {
        setWarned(true);
        setView("edit");
        return;
      }
      /** @type {Server} */
      const changed = await call("PUT", serverPath(server.id, "/code"), { text: code, ifMatch: draft.etag });
      onInUse({ version: changed.version, text: code, etag: changed.etags.code });
      change(null);
      setView("edit");
      done(t(`version.${versionFate(changed)}`, { n: changed.version }));
      refreshAll();
    } catch (problem) {
      if (problem instanceof ApiError && problem.code === "precondition_failed") await onReload();
      else setError(problem);
    } finally {
      setBusy(false);
    }
  };

  const label = t("code.label", { name: server.name });
  return html`<section class="panel code-tab">
    <${UnsavedGuard} isDirty=${isChanged} onLeave=${() => dropDraft(draftName)} kept=${{ name: `${server.name}.py`, text: () => code }} />
    <div class="panel-head">
      <h2>${isChanged ? t("code.next") : t("versions.number", { n: inUse.version })}</h2>
      ${isChanged &&
      html`<span class="row-of-buttons">
        <${Choice}
          label=${t("code.view")}
          value=${view}
          onChange=${setView}
          options=${[
            ["edit", t("code.view.edit")],
            ["changes", t("code.view.changes", { n: inUse.version })],
          ]}
        />
        <button type="button" class="button small" onClick=${() => change(null)}>${t("code.discard")}</button>
        <button type="button" class="button small primary" disabled=${isBusy || !isGood || isOutdated} onClick=${() => save()}>
          ${server.desired === "running" ? t("code.uploadRestart") : t("code.upload")}
        </button>
      </span>`}
    </div>
    ${isOutdated &&
    html`<div class="notice warn" role="alert">
      <${Icon} name="error" />
      <p>${t("code.outdated", { n: inUse.version })}</p>
      <span class="row-of-buttons">
        <button type="button" class="button small" onClick=${() => setView("changes")}>${t("code.outdatedSee")}</button>
        <button type="button" class="button small" onClick=${putOnTop}>${t("conflict.merge")}</button>
        <button type="button" class="button small" onClick=${() => change(null)}>${t("code.outdatedTake", { n: inUse.version })}</button>
      </span>
    </div>`}
    <${Failure} error=${error} onRetry=${() => save({ anyway: true })} />
    ${isWarned &&
    html`<div class="notice warn" role="alert">
      <${Icon} name="error" />
      <p>${t("code.hasErrors")}</p>
      <button type="button" class="button small" disabled=${isBusy} onClick=${() => save({ anyway: true })}>${t("code.anyway")}</button>
    </div>`}
    ${isChanged && view === "changes"
      ? html`<${CodeDiff} before=${inUse.text} after=${code} label=${t("diff.label", { from: inUse.version, to: t("code.next") })} />`
      : canChange
        ? html`<${CodeInput} code=${code} onCode=${change} label=${label} marks=${isChanged ? checkMarks : failureMarks} goTo=${goTo} />`
        : html`<${CodeEditor} value=${code} label=${label} marks=${failureMarks} goTo=${goTo} />`}
    ${isChanged && html`<${CheckReport} check=${check} onGoTo=${setGoTo} />`}
  </section>`;
}

/**
 * The line of the last failure. It belongs to the code that failed, not to
 * what is typed since.
 * @param {Server} server
 * @returns {import("../../components/code_editor.js").Mark[]}
 */
function useFailureMarks({ last_error: failure }) {
  const line = failure?.line ?? 0;
  const message = failure?.message ?? "";
  return useMemo(() => (line > 0 ? [{ place: { line }, severity: "error", message }] : []), [line, message]);
}
