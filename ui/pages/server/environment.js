// The environment of a server, changed as a whole.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { Conflict } from "../../components/conflict.js";
import { Failure, Loading } from "../../components/controls.js";
import { EnvEditor, newRow, rowProblem, rowsOf, varsOf } from "../../components/env_editor.js";
import { ReadFailure } from "../../components/read_failure.js";
import { UnsavedGuard } from "../../components/unsaved_guard.js";
import { ApiError, callForTagged, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { changedKeys, mergedVars } from "../../lib/merge.js";
import { done } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").EnvVar} EnvVar */
/** @typedef {import("../../components/env_editor.js").Row} Row */

/** @typedef {{ env: EnvVar[], etag: string }} Stored */

/**
 * A set of variables as files have it. A secret that is stored has no value here.
 * @param {Row[]} rows
 */
function asDotEnv(rows) {
  return varsOf(rows)
    .map(({ key, value }) => (value === undefined ? `# ${key}` : `${key}=${/^[\w./:@-]*$/.test(value) ? value : JSON.stringify(value)}`))
    .join("\n");
}

/**
 * What somebody else has changed, and what would be saved in its place.
 * @param {EnvVar[]} before
 * @param {EnvVar[]} mine
 * @param {EnvVar[]} theirs
 * @returns {import("../../components/conflict.js").Difference[]}
 */
function differences(before, mine, theirs) {
  const words = (/** @type {EnvVar | undefined} */ one) => (one === undefined ? t("env.removed") : one.is_secret ? "******" : (one.value ?? ""));
  const of = (/** @type {EnvVar[]} */ vars, /** @type {string} */ key) => words(vars.find((one) => one.key === key));
  const changedHere = changedKeys(before, mine);
  return changedKeys(before, theirs).map((key) => ({ label: key, theirs: of(theirs, key), ...(changedHere.includes(key) && { mine: of(mine, key) }) }));
}

/** @param {{ server: import("../../lib/types.js").Server, canChange: boolean }} props */
export function EnvironmentTab({ server, canChange }) {
  const [stored, setStored] = useState(/** @type {Stored | null} */ (null));
  const [other, setOther] = useState(/** @type {Stored | null} */ (null));
  const [rows, setRows] = useState(/** @type {Row[]} */ ([]));
  const [error, setError] = useState(/** @type {{ problem: unknown, retry: () => unknown } | null} */ (null));
  const [isBusy, setBusy] = useState(false);

  /** @param {Stored} answer */
  const show = (answer) => {
    setStored(answer);
    setOther(null);
    setRows(rowsOf(answer.env));
  };
  /**
   * @param {Parameters<typeof callForTagged>} request
   * @returns {Promise<Stored>}
   */
  const ask = async (...request) => {
    const { body, etag } = await callForTagged(...request);
    return { env: JSON.parse(body).env, etag };
  };
  const load = async () => {
    setError(null);
    try {
      const answer = await ask("GET", serverPath(server.id, "/env"));
      // Another server may have come under the name, while something is typed.
      if (stored && isDirty(stored)) setOther(answer);
      else show(answer);
    } catch (problem) {
      setError({ problem, retry: load });
    }
  };
  const isDirty = (/** @type {Stored} */ { env }) => JSON.stringify(varsOf(rows)) !== JSON.stringify(varsOf(rowsOf(env)));
  useEffect(() => void load(), [server.id]);

  /** @param {boolean} restart */
  const save = async (restart) => {
    setBusy(true);
    setError(null);
    try {
      show(await ask("PUT", serverPath(server.id, `/env?restart=${restart}`), { json: { env: varsOf(rows) }, ifMatch: stored?.etag }));
      done(t("env.saved"));
      refreshAll();
    } catch (problem) {
      await meet(problem, () => save(restart));
    } finally {
      setBusy(false);
    }
  };

  /**
   * @param {unknown} problem
   * @param {() => unknown} retry
   */
  const meet = async (problem, retry) => {
    if (!(problem instanceof ApiError) || problem.code !== "precondition_failed") return setError({ problem, retry });
    try {
      setOther(await ask("GET", serverPath(server.id, "/env")));
    } catch (trouble) {
      setError({ problem: trouble, retry });
    }
  };

  if (!stored) return error ? html`<${ReadFailure} error=${error.problem} onRetry=${error.retry} />` : html`<${Loading} />`;
  const before = varsOf(rowsOf(stored.env));
  const mine = varsOf(rows);
  const isChanged = isDirty(stored);
  const isGood = rows.every((row) => !rowProblem(row, rows));
  return html`<section class="panel">
    <${UnsavedGuard} isDirty=${isChanged} kept=${{ name: `${server.name}.env`, text: () => asDotEnv(rows) }} />
    <p class="lead">${t("env.lead")}</p>
    <${EnvEditor} rows=${rows} onRows=${setRows} isReadOnly=${!canChange} />
    ${other &&
    html`<${Conflict}
      differences=${differences(before, mine, varsOf(rowsOf(other.env)))}
      onMerge=${() => {
        const merged = mergedVars(before, mine, varsOf(rowsOf(other.env)));
        show(other);
        setRows(merged.map(({ key, value, is_secret }) => newRow({ key, value: value ?? "", isSecret: is_secret, isStored: value === undefined })));
      }}
      onTake=${() => show(other)}
    />`}
    <${Failure} error=${error?.problem} onRetry=${error?.retry} />
    ${canChange &&
    html`<div class="form-end">
      ${isChanged && html`<span class="hint">${t("env.unsaved")}</span>
        <button type="button" class="button" onClick=${() => setRows(rowsOf(stored.env))}>${t("code.discard")}</button>`}
      ${server.desired === "running" &&
      html`<button type="button" class="button" disabled=${!isChanged || !isGood || isBusy || other !== null} onClick=${() => save(true)}>${t("env.saveRestart")}</button>`}
      <button type="button" class="button primary" disabled=${!isChanged || !isGood || isBusy || other !== null} onClick=${() => save(false)}>${t("action.save")}</button>
    </div>`}
  </section>`;
}
