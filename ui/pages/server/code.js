// The code in use, and the next version of it.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { CodeEditor } from "../../components/code_editor.js";
import { CodeInput } from "../../components/code_input.js";
import { Failure, Loading } from "../../components/controls.js";
import { call, callForText, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { canWrite } from "../../lib/session.js";
import { done } from "../../lib/toasts.js";

/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server }} props */
export function CodeTab({ server }) {
  const [inUse, setInUse] = useState(/** @type {{ version: number, text: string } | null} */ (null));
  const [draft, setDraft] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState(/** @type {{ problem: unknown, retry: () => unknown } | null} */ (null));
  const [isBusy, setBusy] = useState(false);

  const load = async () => {
    setError(null);
    try {
      const text = await callForText("GET", serverPath(server.id, "/code"));
      setInUse({ version: server.version, text });
    } catch (problem) {
      setError({ problem, retry: load });
    }
  };
  useEffect(() => void load(), [server.id, server.version]);

  const upload = async () => {
    if (draft === null) return;
    setBusy(true);
    setError(null);
    try {
      /** @type {Server} */
      const changed = await call("PUT", serverPath(server.id, "/code"), { text: draft });
      setInUse({ version: changed.version, text: draft });
      setDraft(null);
      done(t("code.uploaded", { n: changed.version }));
      refreshAll();
    } catch (problem) {
      setError({ problem, retry: upload });
    } finally {
      setBusy(false);
    }
  };

  if (!inUse) return error ? html`<${Failure} error=${error.problem} onRetry=${error.retry} />` : html`<${Loading} />`;
  const isChanged = draft !== null && draft !== inUse.text;
  const failure = server.last_error;
  // The mark belongs to the code that failed, not to what is typed since.
  const problem = failure?.line && !isChanged ? { line: failure.line, message: failure.message } : null;
  const label = t("code.label", { name: server.name });
  return html`<section class="panel code-tab">
    <div class="panel-head">
      <h2>${isChanged ? t("code.next") : t("versions.number", { n: inUse.version })}</h2>
      ${isChanged &&
      html`<span class="row-of-buttons">
        <button type="button" class="button small" onClick=${() => setDraft(null)}>${t("code.discard")}</button>
        <button type="button" class="button small primary" disabled=${isBusy} onClick=${upload}>
          ${server.desired === "running" ? t("code.uploadRestart") : t("code.upload")}
        </button>
      </span>`}
    </div>
    <${Failure} error=${error?.problem} onRetry=${error?.retry} />
    ${canWrite.value
      ? html`<${CodeInput} code=${draft ?? inUse.text} onCode=${setDraft} label=${label} problem=${problem} />`
      : html`<${CodeEditor} value=${inUse.text} label=${label} problem=${problem} />`}
  </section>`;
}
