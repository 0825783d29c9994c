// Connects to the server as a client would, and shows how far that went. EMCP
// goes through Traefik without looking up the public name; whether that leads
// here, this browser tries by itself.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ApiError, serverPath } from "../lib/api.js";
import { inWords } from "../lib/coded.js";
import { explain } from "../lib/errors.js";
import { isKey, t } from "../lib/i18n.js";
import { callPart } from "../lib/part.js";
import { Failure } from "./controls.js";
import { reach } from "../lib/reach.js";
import { Icon } from "./icon.js";

/**
 * @typedef {import("../lib/types.js").Documents["Step"]} Step
 * @typedef {import("../lib/types.js").Documents["ConnectionTest"]} TestAnswer
 */

/** What will be tried, shown before the answer is there. */
const EXPECTED = ["resolve", "tls", "gate", "initialize", "list_tools"];

/** @param {{ serverId: string, url: string }} props `url` is where clients connect */
export function ConnectionTest({ serverId, url }) {
  const [answer, setAnswer] = useState(/** @type {TestAnswer | null} */ (null));
  const [reached, setReached] = useState(/** @type {import("../lib/reach.js").Reached | null} */ (null));
  const [state, setState] = useState(/** @type {"idle" | "busy" | "missing"} */ ("idle"));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  useEffect(() => setAnswer(null), [serverId]);

  const run = async () => {
    setState("busy");
    setError(null);
    setAnswer(null);
    setReached(null);
    try {
      /** @type {[TestAnswer | null, import("../lib/reach.js").Reached]} */
      const [result, here] = await Promise.all([callPart("test", "POST", serverPath(serverId, "/test")), reach(url)]);
      setAnswer(result);
      setReached(here);
      setState(result ? "idle" : "missing");
    } catch (problem) {
      setError(problem);
      setState("idle");
    }
  };
  if (state === "missing") return null;
  const isBusy = state === "busy";
  return html`<section class="panel" aria-label=${t("test.title")}>
    <div class="panel-head">
      <h2>${t("test.title")}</h2>
      <button type="button" class="button" disabled=${isBusy} onClick=${run}>
        <${Icon} name=${isBusy ? "building" : "start"} />${isBusy ? t("test.busy") : answer || error ? t("test.again") : t("test.run")}
      </button>
    </div>
    <p class="hint">${t("test.lead")}</p>
    <${Failure} error=${error} onRetry=${run} />
    ${answer &&
    reached &&
    html`<div class=${`notice ${answer.ok ? { good: "good", bad: "bad", untried: "warn" }[reached.state] : "bad"}`} role="status">
      <${Icon} name=${answer.ok && reached.state === "good" ? "check" : "error"} />
      <p>${t(answer.ok ? `test.good.${reached.state}` : "test.bad")}</p>
    </div>`}
    ${(isBusy || answer) &&
    html`<ol class="steps" aria-busy=${isBusy}>
      ${(answer?.steps ?? EXPECTED.map((code) => ({ code, ok: null, duration_ms: null, detail: "" }))).map(
        (step) => html`<${StepRow} key=${step.code} step=${step} isBusy=${isBusy} />`,
      )}
      <${PublicRow} url=${url} reached=${reached} />
    </ol>`}
  </section>`;
}

/** @param {Step} step */
function detailOf({ detail_code, detail_args, detail }) {
  const refusal = detail_code === "refused" && detail_args?.refusal;
  // There are words for what EMCP refuses already.
  const args = refusal ? { ...detail_args, message: explain(new ApiError(0, String(refusal), detail)) } : detail_args;
  return inWords("step", detail_code, args, detail);
}

/** @param {{ step: Step, isBusy: boolean }} props */
function StepRow({ step, isBusy }) {
  const state = isBusy ? "busy" : step.ok === null ? "skipped" : step.ok ? "good" : "bad";
  const key = `test.step.${step.code}`;
  const icon = /** @type {const} */ ({ busy: "building", skipped: "minus", good: "check", bad: "error" })[state];
  return html`<li data-step=${step.code} data-state=${state}>
    <${Icon} name=${icon} />
    <div>
      <strong>${isKey(key) ? t(key) : step.code}</strong>
      ${state !== "busy" && html` <span class="hint">${t(`test.state.${state}`)}${step.duration_ms !== null && ` · ${t("time.ms", { n: Math.round(step.duration_ms) })}`}</span>`}
      ${step.detail && step.ok !== null && html`<p dir="auto">${detailOf(step)}</p>`}
    </div>
  </li>`;
}

/**
 * What this browser found at the public address.
 * @param {{ url: string, reached: import("../lib/reach.js").Reached | null }} props
 */
function PublicRow({ url, reached }) {
  const state = reached?.state ?? "busy";
  const icon = /** @type {const} */ ({ busy: "building", untried: "minus", good: "check", bad: "error" })[state];
  return html`<li data-step="public" data-state=${state === "untried" ? "skipped" : state}>
    <${Icon} name=${icon} />
    <div>
      <strong>${t("test.step.public")}</strong>
      ${reached && html` <span class="hint">${t(state === "untried" ? "test.state.untried" : `test.state.${reached.state === "good" ? "good" : "bad"}`)}</span>
        <p>${t(`test.public.${reached.found}`, { url, status: reached.status })}</p>`}
    </div>
  </li>`;
}
