// Short messages in the corner of the page.

import { signal } from "../vendor/preact.js";
import { explain } from "./errors.js";
import { t } from "./i18n.js";

/** @typedef {{ id: number, kind: "done" | "failed", text: string, retry?: () => unknown }} Toast */

const SHOWN_MS = 5_000;
let lastId = 0;

/** @type {import("../vendor/preact.js").Signal<Toast[]>} */
export const toasts = signal([]);

/** @param {string} text */
export function done(text) {
  const id = show({ kind: "done", text });
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/**
 * Stays until it is dismissed: it may be the only trace of what went wrong.
 * @param {unknown} error
 * @param {() => unknown} [retry]
 */
export function failed(error, retry) {
  show({ kind: "failed", text: `${t("toast.failed")} ${explain(error)}`, retry });
}

/** @param {number} id */
export function dismiss(id) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** @param {Omit<Toast, "id">} toast */
function show(toast) {
  lastId += 1;
  // The same message twice says nothing new.
  const others = toasts.value.filter((known) => known.text !== toast.text);
  toasts.value = [...others, { ...toast, id: lastId }];
  return lastId;
}
