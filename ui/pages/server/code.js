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
import { call, callForText, serverPath } from "../../lib/api.js";
import { useCheck } from "../../lib/check.js";
import { dropDraft, keepDraft, recallDraft } from "../../lib/draft.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { codeProblem } from "../../lib/rules.js";
import { done } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server, canChange: boolean }} props */
export function CodeTab({ server, canChange }) {
  const [inUse, setInUse] = useState(/** @type {{ version: number, text: string } | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));

  const load = async () => {
    setError(null);
    try {
      const text = await callForText("GET", serverPath(server.id, "/code"));
      setInUse({ version: server.version, text });
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [server.id, server.version]);

  if (!inUse) return error ? html`<${ReadFailure} error=${error} onRetry=${load} />` : html`<${Loading} />`;
  return html`<${NextVersion} server=${server} canChange=${canChange} inUse=${inUse} onInUse=${setInUse} />`;
}

/**
 * @param {{
 *   server: Server, canChange: boolean,
 *   inUse: { version: number, text: string }, onInUse: (inUse: { version: number, text: string }) => void,
 * }} props
 */
function NextVersion({ server, canChange, inUse, onInUse }) {
  const draftName = `code.${server.id}`;
  const [draft, setDraft] = useState(() => /** @type {string | null} */ (canChange ? recallDraft(draftName) : null));
  const [view, setView] = useState(/** @type {"edit" | "changes"} */ ("edit"));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  const [isWarned, setWarned] = useState(false);
  const [goTo, setGoTo] = useState(/** @type {import("../../lib/types.js").Place | null} */ (null));
  const code = draft ?? inUse.text;
  const isChanged = draft !== null && draft !== inUse.text;
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
    setDraft(next);
    setError(null);
    setWarned(false);
  };
  /** @param {{ anyway?: boolean }} [options] */
  const save = async ({ anyway = false } = {}) => {
    if (!isChanged || !isGood || isBusy) return;
    setBusy(true);
    setError(null);
    try {
      if (!anyway && hasErrors(await check.now())) {
        setWarned(true);
        setView("edit");
        return;
      }
      /** @type {Server} */
      const changed = await call("PUT", serverPath(server.id, "/code"), { text: code });
      onInUse({ version: changed.version, text: code });
      change(null);
      setView("edit");
      done(t("code.uploaded", { n: changed.version }));
      refreshAll();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };

  const label = t("code.label", { name: server.name });
  return html`<section class="panel code-tab">
    <${UnsavedGuard} isDirty=${isChanged} onLeave=${() => dropDraft(draftName)} />
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
        <button type="button" class="button small primary" disabled=${isBusy || !isGood} onClick=${() => save()}>
          ${server.desired === "running" ? t("code.uploadRestart") : t("code.upload")}
        </button>
      </span>`}
    </div>
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
