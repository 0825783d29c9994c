// Times as people say them; the exact time is in the tooltip.

import { computed, signal } from "../vendor/preact.js";
import { language } from "./i18n.js";

const UNITS = /** @type {const} */ ([
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
]);

/** Moves on by itself, so that "a minute ago" does. */
const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 15_000);

/** @param {string} iso */
export function ago(iso) {
  const format = new Intl.RelativeTimeFormat(language.value, { numeric: "auto" });
  const seconds = (new Date(iso).getTime() - Math.max(now.value, Date.now())) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return format.format(Math.round(seconds / length), unit);
  }
  return format.format(Math.abs(seconds) < 10 ? 0 : Math.round(seconds), "second");
}

/** To make a format takes much longer than to use it, and a log has many times. */
const exactFormat = computed(() => new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }));

/** @param {string} iso */
export function exact(iso) {
  return exactFormat.value.format(new Date(iso));
}

/**
 * Hours, minutes, seconds and thousandths, local.
 * @param {string} iso
 */
export function clock(iso) {
  const at = new Date(iso);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
