// The environment of a server, changed as a whole.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { Failure, Loading } from "../../components/controls.js";
import { EnvEditor, rowProblem, rowsOf, varsOf } from "../../components/env_editor.js";
import { ReadFailure } from "../../components/read_failure.js";
import { UnsavedGuard } from "../../components/unsaved_guard.js";
import { call, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { done } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").EnvVar} EnvVar */
/** @typedef {import("../../components/env_editor.js").Row} Row */

/** @param {{ server: import("../../lib/types.js").Server, canChange: boolean }} props */
export function EnvironmentTab({ server, canChange }) {
  const [stored, setStored] = useState(/** @type {EnvVar[] | null} */ (null));
  const [rows, setRows] = useState(/** @type {Row[]} */ ([]));
  const [error, setError] = useState(/** @type {{ problem: unknown, retry: () => unknown } | null} */ (null));
  const [isBusy, setBusy] = useState(false);

  /** @param {{ env: EnvVar[] }} answer */
  const show = ({ env }) => {
    setStored(env);
    setRows(rowsOf(env));
  };
  const load = async () => {
    setError(null);
    try {
      show(await call("GET", serverPath(server.id, "/env")));
    } catch (problem) {
      setError({ problem, retry: load });
    }
  };
  useEffect(() => void load(), [server.id]);

  /** @param {boolean} restart */
  const save = async (restart) => {
    setBusy(true);
    setError(null);
    try {
      show(await call("PUT", serverPath(server.id, `/env?restart=${restart}`), { json: { env: varsOf(rows) } }));
      done(t("env.saved"));
      refreshAll();
    } catch (problem) {
      setError({ problem, retry: () => save(restart) });
    } finally {
      setBusy(false);
    }
  };

  if (!stored) return error ? html`<${ReadFailure} error=${error.problem} onRetry=${error.retry} />` : html`<${Loading} />`;
  const isChanged = JSON.stringify(varsOf(rows)) !== JSON.stringify(varsOf(rowsOf(stored)));
  const isGood = rows.every((row) => !rowProblem(row, rows));
  return html`<section class="panel">
    <${UnsavedGuard} isDirty=${isChanged} />
    <p class="lead">${t("env.lead")}</p>
    <${EnvEditor} rows=${rows} onRows=${setRows} isReadOnly=${!canChange} />
    <${Failure} error=${error?.problem} onRetry=${error?.retry} />
    ${canChange &&
    html`<div class="form-end">
      ${isChanged && html`<span class="hint">${t("env.unsaved")}</span>
        <button type="button" class="button" onClick=${() => setRows(rowsOf(stored))}>${t("code.discard")}</button>`}
      ${server.desired === "running" &&
      html`<button type="button" class="button" disabled=${!isChanged || !isGood || isBusy} onClick=${() => save(true)}>${t("env.saveRestart")}</button>`}
      <button type="button" class="button primary" disabled=${!isChanged || !isGood || isBusy} onClick=${() => save(false)}>${t("action.save")}</button>
    </div>`}
  </section>`;
}
