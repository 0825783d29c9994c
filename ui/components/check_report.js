// What the check of the code found, below the editor.

import { html, useMemo } from "../vendor/preact.js";
import { inWords } from "../lib/coded.js";
import { isKey, language, t } from "../lib/i18n.js";
import { Icon } from "./icon.js";

/** @typedef {import("../lib/types.js").CheckProblem} CheckProblem */
/** @typedef {import("../lib/types.js").Place} Place */

const SHOWN_MAX = 20;

/**
 * The problems that have a place, for the editor to mark.
 * @param {import("../lib/types.js").CheckAnswer | null} answer
 * @returns {import("./code_editor.js").Mark[]}
 */
export function useMarks(answer) {
  return useMemo(
    () =>
      (answer?.problems ?? []).flatMap((problem) => {
        const place = placeOf(problem);
        return place ? [{ place, severity: problem.severity, message: saidOf(problem) }] : [];
      }),
    [answer, language.value],
  );
}

/** @param {import("../lib/types.js").CheckAnswer | null} answer */
export function hasErrors(answer) {
  return answer?.problems.some(({ severity }) => severity === "error") ?? false;
}

/**
 * @param {{ check: import("../lib/check.js").Check, onGoTo: (place: Place) => void }} props
 */
export function CheckReport({ check, onGoTo }) {
  const { answer, isChecking } = check;
  if (!answer) return isChecking ? html`<p class="check-state" role="status"><${Icon} name="building" />${t("check.checking")}</p>` : null;
  const { problems } = answer;
  const facts = [
    answer.runtime && t(`runtime.${answer.runtime}`),
    answer.entry_objects.length > 0 && t("check.entries", { names: answer.entry_objects.join(", ") }),
  ].filter(Boolean);
  return html`<div class="check-report" role="status" aria-busy=${isChecking}>
    <p class="check-state" data-state=${isChecking ? "busy" : problems.length === 0 ? "good" : "bad"}>
      <${Icon} name=${isChecking ? "building" : problems.length === 0 ? "check" : "error"} />
      <span>
        ${problems.length === 0 ? t("check.good") : t("check.found", { n: problems.length })}
        ${facts.length > 0 && html` <span class="hint" dir="auto">${facts.join(" · ")}</span>`}
      </span>
    </p>
    <ul>
      ${problems.slice(0, SHOWN_MAX).map((problem) => html`<${Problem} problem=${problem} onGoTo=${onGoTo} />`)}
    </ul>
  </div>`;
}

/** @param {{ problem: CheckProblem, onGoTo: (place: Place) => void }} props */
function Problem({ problem, onGoTo }) {
  const place = placeOf(problem);
  const key = `check.code.${problem.code}`;
  return html`<li data-severity=${problem.severity}>
    <span class="check-severity"><${Icon} name=${problem.severity === "error" ? "error" : "help"} />${t(`check.severity.${problem.severity}`)}</span>
    <p dir="auto">${isKey(key) && html`<strong>${t(key)}</strong> `}${saidOf(problem)}</p>
    ${place &&
    html`<button type="button" class="button small" onClick=${() => onGoTo({ ...place, isFocused: true })}>${t("check.line", { n: place.line })}</button>`}
  </li>`;
}

/** @param {CheckProblem} problem */
function saidOf({ code, args, message }) {
  return inWords("problem", code, args, message);
}

/**
 * @param {CheckProblem} problem
 * @returns {Place | null}
 */
function placeOf({ line, column, end_line, end_column }) {
  return line ? { line, column, end_line, end_column } : null;
}
