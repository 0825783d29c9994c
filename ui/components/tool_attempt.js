// One call of a server: under way, done, failed, or given up.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { call } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { Failure } from "./controls.js";
import { Icon } from "./icon.js";

/**
 * @template A
 * @typedef {object} Attempting
 * @property {boolean} isBusy
 * @property {A | null} answer
 * @property {unknown} error
 * @property {(body: object) => Promise<void>} run
 * @property {() => void} cancel
 */

/**
 * @template {{ duration_ms: number, is_error?: boolean }} A
 * @param {string} path
 * @returns {Attempting<A>}
 */
export function useAttempt(path) {
  const [isBusy, setBusy] = useState(false);
  const [answer, setAnswer] = useState(/** @type {A | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const running = useRef(/** @type {AbortController | null} */ (null));
  useEffect(() => () => running.current?.abort(), []);

  /** @param {object} body */
  const run = async (body) => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    setError(null);
    setAnswer(null);
    try {
      /** @type {A} */
      const result = await call("POST", path, { json: body, signal: controller.signal });
      if (!controller.signal.aborted) setAnswer(result);
    } catch (problem) {
      if (!controller.signal.aborted) setError(problem);
    } finally {
      if (running.current === controller) {
        running.current = null;
        setBusy(false);
      }
    }
  };
  return { isBusy, answer, error, run, cancel: () => running.current?.abort() };
}

/**
 * The button that begins it, and how it went.
 * @param {{
 *   attempt: Attempting<{ duration_ms: number, is_error?: boolean }>,
 *   action: string, onRun?: () => unknown, onRetry: (event: Event) => unknown,
 * }} props without `onRun` the button sends the form it is in
 */
export function Attempt({ attempt, action, onRun, onRetry }) {
  const { isBusy, answer, error } = attempt;
  return html`
    <div class="row-of-buttons">
      <button type=${onRun ? "button" : "submit"} class="button primary" disabled=${isBusy} onClick=${onRun}>
        <${Icon} name=${isBusy ? "building" : "start"} />${isBusy ? t("tools.busy") : action}
      </button>
      ${isBusy && html`<button type="button" class="button" onClick=${attempt.cancel}>${t("action.cancel")}</button>`}
      <span role="status" class="tool-outcome" data-error=${answer?.is_error ?? false}>
        ${answer &&
        html`<${Icon} name=${answer.is_error ? "error" : "check"} />${`${answer.is_error ? t("tools.failed") : t("tools.done")} · ${t("time.ms", { n: Math.round(answer.duration_ms) })}`}`}
      </span>
    </div>
    <${Failure} error=${error} onRetry=${onRetry} />
  `;
}
