// Who did what, newest first, for administrators.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Loading, Time } from "../components/controls.js";
import { Icon } from "../components/icon.js";
import { ReadFailure } from "../components/read_failure.js";
import { Text } from "../components/text.js";
import { call } from "../lib/api.js";
import { ACTIONS, auditPath } from "../lib/audit.js";
import { isKey, t } from "../lib/i18n.js";
import { href, replace } from "../lib/router.js";

/** @typedef {import("../lib/types.js").AuditEntry} AuditEntry */
/** @typedef {import("../lib/types.js").Documents["AuditPage"]} Part */

/** A filter is looked up when typing has paused for so long. */
const LOOK_UP_AFTER_MS = 250;
const RESULT_ICONS = /** @type {const} */ ({ ok: "check", refused: "lock", failed: "error" });

/** @param {{ query: URLSearchParams }} props */
export function AuditPage({ query }) {
  const actor = query.get("actor") ?? "";
  const action = query.get("action") ?? "";
  const [part, setPart] = useState(/** @type {Part | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [round, setRound] = useState(0);
  const [isBusy, setBusy] = useState(false);

  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setPart(await call("GET", auditPath({ actor, action }, null), { signal: controller.signal }));
        setError(null);
      } catch (problem) {
        if (!controller.signal.aborted) setError(problem);
      }
    }, part ? LOOK_UP_AFTER_MS : 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [actor, action, round]);

  const more = async () => {
    if (!part) return;
    setBusy(true);
    try {
      /** @type {Part} */
      const next = await call("GET", auditPath({ actor, action }, part.next));
      // The filter may have changed meanwhile; then this is not its answer.
      setPart((known) => (known === part ? { entries: [...part.entries, ...next.entries], next: next.next } : known));
      setError(null);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  /** @param {Record<string, string>} change */
  const filter = (change) => replace(href(["audit"], { actor, action, ...change }));
  const isFiltered = actor !== "" || action !== "";

  return html`
    <div class="page-head">
      <h1>${t("nav.audit")}</h1>
      <button type="button" class="button" onClick=${() => setRound(round + 1)}><${Icon} name="restart" />${t("action.refresh")}</button>
    </div>
    <p class="lead">${t("audit.lead")}</p>
    <div class="filter-bar">
      <label class="search">
        <${Icon} name="search" />
        <input
          type="search"
          data-search
          placeholder=${t("audit.actor")}
          aria-label=${t("audit.actor")}
          value=${actor}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => filter({ actor: event.currentTarget.value })}
        />
      </label>
      <${ActionFilter} value=${action} onValue=${(/** @type {string} */ value) => filter({ action: value })} />
    </div>
    <${ReadFailure} error=${error} onRetry=${() => setRound((count) => count + 1)} />
    ${!part
      ? !error && html`<${Loading} />`
      : part.entries.length === 0
        ? html`<div class="empty">
            <h2>${t(isFiltered ? "audit.noMatch" : "audit.none")}</h2>
            ${isFiltered && html`<button type="button" class="button" onClick=${() => filter({ actor: "", action: "" })}>${t("servers.clearFilter")}</button>`}
          </div>`
        : html`
            <ol class="audit panel">${part.entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</ol>
            ${part.next !== null && html`<p class="more"><button type="button" class="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}
          `}
  `;
}

/** @param {{ value: string, onValue: (value: string) => void }} props */
function ActionFilter({ value, onValue }) {
  const groups = /** @type {[keyof typeof ACTIONS, readonly string[]][]} */ (Object.entries(ACTIONS));
  const families = groups.map(([family, actions]) => ({ family, all: `audit.all.${family}`, codes: actions.map((action) => `${family}.${action}`) }));
  // An address made by hand may ask for what is not in the list.
  const isKnown = value === "" || families.some(({ family, codes }) => value === family || codes.includes(value));
  return html`<select
    class="audit-action"
    aria-label=${t("audit.action")}
    value=${value}
    onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ event) => onValue(event.currentTarget.value)}
  >
    <option value="">${t("audit.anything")}</option>
    ${!isKnown && html`<option value=${value}>${value}</option>`}
    ${families.map(
      ({ family, all, codes }) => html`<optgroup key=${family} label=${t(`audit.group.${family}`)}>
        ${isKey(all) && html`<option value=${family}>${t(all)}</option>`}
        ${codes.map((code) => html`<option key=${code} value=${code}>${actionWords(code)}</option>`)}
      </optgroup>`,
    )}
  </select>`;
}

/** @param {string} action */
function actionWords(action) {
  const key = `audit.do.${action}`;
  return isKey(key) ? t(key) : action;
}

/**
 * What was only tried is not told as done.
 * @param {AuditEntry} entry
 */
function entryWords({ action, result }) {
  const key = `audit.try.${action}`;
  return result !== "ok" && isKey(key) ? t(key) : actionWords(action);
}

/** @param {AuditEntry} entry */
function resultWords({ result, code }) {
  const words = t(`audit.result.${result}`);
  return code ? t("audit.why", { result: words, code }) : words;
}

/** @param {{ entry: AuditEntry }} props */
function Entry({ entry }) {
  return html`<li data-result=${entry.result}>
    <span class="audit-time"><${Time} at=${entry.at} /></span>
    <span class="audit-what">
      <strong><${Text} text=${entry.actor ?? t("audit.nobody")} /></strong>${" "}
      <span title=${entry.action}>${entryWords(entry)}</span>${" "}
      ${entry.target && html`<span class="mono"><${Text} text=${entry.target} max=${200} /></span>`}
      ${entry.count !== undefined && html` <span class="tag">${t("audit.times", { n: entry.count })}</span>`}
    </span>
    <span class="result" data-result=${entry.result}><${Icon} name=${RESULT_ICONS[entry.result]} />${resultWords(entry)}</span>
    <span class="hint audit-from">${entry.from === "unknown" ? t("audit.fromUnknown") : entry.from && html`<${Text} text=${entry.from} />`}</span>
  </li>`;
}
