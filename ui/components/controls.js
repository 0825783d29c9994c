// The small parts that every page uses.

import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { explain } from "../lib/errors.js";
import { focusTrail, giveBack } from "../lib/focus.js";
import { t } from "../lib/i18n.js";
import { ago, exact } from "../lib/time.js";
import { Icon } from "./icon.js";

/**
 * A failure in words, with a way to try again.
 * @param {{ error: unknown, onRetry?: () => unknown }} props
 */
export function Failure({ error, onRetry }) {
  if (!error) return null;
  return html`<div class="notice bad" role="alert">
    <${Icon} name="error" />
    <p dir="auto">${explain(error)}</p>
    ${onRetry && html`<button type="button" class="button small" onClick=${onRetry}>${t("action.retry")}</button>`}
  </div>`;
}

/**
 * A labelled control with a hint or a problem below it. `children` gets the
 * attributes that tie the control to its words.
 * @param {{
 *   label: string, hint?: string, problem?: string | null, good?: string | null,
 *   children: (attributes: { id: string, "aria-describedby": string, "aria-invalid": boolean }) => unknown,
 * }} props
 */
export function Field({ label, hint, problem, good, children }) {
  const id = useId();
  const words = problem ?? good ?? hint;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": `${id}-words`, "aria-invalid": Boolean(problem) })}
    <p id="${id}-words" class=${problem ? "hint bad" : good ? "hint good" : "hint"} aria-live="polite" dir="auto">${words}</p>
  </div>`;
}

/** @param {{ text: string | (() => string), label?: string }} props */
export function CopyButton({ text, label }) {
  const [state, setState] = useState(/** @type {"idle" | "copied" | "failed"} */ ("idle"));
  useEffect(() => {
    if (state === "idle") return undefined;
    const timer = setTimeout(() => setState("idle"), 2_000);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () => navigator.clipboard.writeText(typeof text === "string" ? text : text()).then(() => setState("copied"), () => setState("failed"));
  const words = { idle: t("action.copy"), copied: t("action.copied"), failed: t("action.copyFailed") }[state];
  return html`<button type="button" class="button small" aria-label=${label && `${words}: ${label}`} onClick=${copy}>
    <${Icon} name=${state === "copied" ? "check" : "copy"} /><span aria-live="polite">${words}</span>
  </button>`;
}

/**
 * A text to copy.
 * @param {{ text: string, label: string, lines?: boolean }} props
 */
export function CopyBox({ text, label, lines = false }) {
  return html`<div class=${lines ? "copy-box lines" : "copy-box"}>
    <pre tabindex="0" aria-label=${label}>${text}</pre>
    <${CopyButton} text=${text} label=${label} />
  </div>`;
}

/** @param {{ at: string | null }} props */
export function Time({ at }) {
  if (!at) return "–";
  return html`<time datetime=${at} title=${exact(at)}>${ago(at)}</time>`;
}

/**
 * A choice of a few, one of them taken.
 * @template {string} V
 * @param {{ label: string, value: V, options: [V, string][], onChange: (value: V) => void }} props
 */
export function Choice({ label, value, options, onChange }) {
  return html`<div class="choice" role="group" aria-label=${label}>
    ${options.map(
      ([option, words]) => html`<button key=${option} type="button" aria-pressed=${option === value} onClick=${() => onChange(option)}>
        ${words}
      </button>`,
    )}
  </div>`;
}

/**
 * A window above the page. The browser keeps the focus in it and closes it
 * with Esc.
 * @param {{ title: string, onClose?: () => void, children: unknown, class?: string }} props
 */
export function Dialog({ title, onClose, children, class: className = "" }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  // With the page's change itself: an effect's end would come a frame later,
  // until which the keyboard would be elsewhere.
  useLayoutEffect(() => {
    const opener = focusTrail();
    dialog.current?.showModal();
    return () => giveBack(opener);
  }, []);
  /** @param {Event} event */
  const onCancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  // A second Esc closes it whatever was said to the first.
  const onClosed = () => (onClose ? onClose() : dialog.current?.showModal());
  return html`<dialog ref=${dialog} class=${className} aria-labelledby=${id} onCancel=${onCancel} onClose=${onClosed}>
    <header>
      <h2 id=${id}>${title}</h2>
      ${onClose &&
      html`<button type="button" class="button icon-only quiet" aria-label=${t("action.close")} onClick=${onClose}>
        <${Icon} name="close" />
      </button>`}
    </header>
    ${children}
  </dialog>`;
}

/**
 * Asks before something that cannot be undone.
 * @param {{ title: string, text: string, action: string, onConfirm: () => Promise<unknown>, onClose: () => void }} props
 */
export function Confirm({ title, text, action, onConfirm, onClose }) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p dir="auto">${text}</p>
    <${Failure} error=${error} />
    <footer>
      <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
      <button type="button" class="button danger" disabled=${isBusy} onClick=${confirm}>${action}</button>
    </footer>
  <//>`;
}

/** @param {{ what?: string }} props */
export function Loading({ what }) {
  return html`<p class="loading" role="status"><${Icon} name="building" />${what ?? t("page.loading")}</p>`;
}
