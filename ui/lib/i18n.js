// The words of the dashboard, by language. A component that calls `t` is drawn
// anew when the language changes, since `t` reads a signal.

import { signal } from "../vendor/preact.js";
import { fill } from "./fill.js";
import { recall, remember } from "./storage.js";

/** @typedef {keyof typeof import("../locales/en.js").default} Key */
/** @typedef {"en" | "zh"} Language */

/** @type {Record<Language, () => Promise<{ default: Record<Key, string>, coded?: Record<string, string> }>>} */
const LOCALES = {
  en: () => import("../locales/en.js"),
  zh: () => import("../locales/zh.js"),
};

/** @type {import("../vendor/preact.js").Signal<Language>} */
export const language = signal("en");
/** @type {import("../vendor/preact.js").Signal<Record<Key, string>>} */
const words = signal(/** @type {Record<Key, string>} */ ({}));

/** Words for sentences that EMCP sends with a code; see lib/coded.js. @type {import("../vendor/preact.js").Signal<Record<string, string>>} */
export const coded = signal({});

export async function startLanguage() {
  const chosen = recall("language");
  const wanted = chosen ?? navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag)) ?? "en";
  await use(/^zh/i.test(wanted) ? "zh" : "en");
}

/** @param {Language} next */
export async function setLanguage(next) {
  remember("language", next);
  await use(next);
}

/**
 * The words for a key, with `{name}` replaced.
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values) {
  return fill(words.value[key] ?? key, values);
}

/**
 * Whether there are words for a key made from data.
 * @param {string} key
 * @returns {key is Key}
 */
export function isKey(key) {
  return Object.hasOwn(words.value, key);
}

/** @param {Language} next */
async function use(next) {
  const locale = await LOCALES[next]();
  words.value = locale.default;
  coded.value = locale.coded ?? {};
  language.value = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}
