// The words of the dashboard, by language. A component that calls `t` is drawn
// anew when the language changes, since `t` reads a signal. Words that only a
// later page needs come with that page (components/lazy.js).

import { batch, signal } from "../vendor/preact.js";
import { fill } from "./fill.js";
import { recall, remember } from "./storage.js";

/** @typedef {"en" | "zh"} Language */
/**
 * A file of words, of the same name in every language.
 * @typedef {"first" | "servers" | "editing" | "server" | "tools" | "tokens" | "usage" | "audit" | "settings"} Part
 */
/**
 * @typedef {keyof typeof import("../locales/en/first.js").default
 *   | keyof typeof import("../locales/en/servers.js").default
 *   | keyof typeof import("../locales/en/editing.js").default
 *   | keyof typeof import("../locales/en/server.js").default
 *   | keyof typeof import("../locales/en/tools.js").default
 *   | keyof typeof import("../locales/en/tokens.js").default
 *   | keyof typeof import("../locales/en/usage.js").default
 *   | keyof typeof import("../locales/en/audit.js").default
 *   | keyof typeof import("../locales/en/settings.js").default} Key
 */
/** @typedef {import("../vendor/preact.js").Signal<Record<string, string>>} Words */

/** @type {import("../vendor/preact.js").Signal<Language>} */
export const language = signal("en");
/** @type {Words} */
const words = signal({});

/** Words for sentences that EMCP sends with a code; see lib/coded.js. @type {Words} */
export const coded = signal({});

/** What was asked for, and may still be on its way. @type {{ language: Language, parts: Set<Part> }} */
const wanted = { language: "en", parts: new Set(["first"]) };
/** @type {Set<Part>} */
let here = new Set();

export async function startLanguage() {
  const chosen = recall("language");
  const tag = chosen ?? navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag)) ?? "en";
  wanted.language = /^zh/i.test(tag) ? "zh" : "en";
  await bring();
}

/** @param {Language} next */
export async function setLanguage(next) {
  wanted.language = next;
  await bring();
  remember("language", next);
}

/**
 * Resolves when the words of these parts are there.
 * @param {Part[]} parts
 */
export async function addWords(parts) {
  for (const part of parts) wanted.parts.add(part);
  if (parts.some((part) => !here.has(part))) await bring();
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

/** Fetches what is wanted, and again if more or something else is by then. */
async function bring() {
  for (;;) {
    const next = wanted.language;
    const parts = new Set(wanted.parts);
    // English has no words of its own for what a check finds.
    const hasChecks = next === "zh" && (parts.has("editing") || parts.has("server"));
    const [codes, checks, ...texts] = await Promise.all([file(next, "codes"), hasChecks ? file(next, "checks") : {}, ...[...parts].map((name) => file(next, name))]);
    if (next !== wanted.language || parts.size !== wanted.parts.size) continue;
    batch(() => {
      words.value = Object.assign({}, ...texts);
      coded.value = { ...codes, ...checks };
      language.value = next;
    });
    here = parts;
    document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
    return;
  }
}

/**
 * @param {Language} of
 * @param {string} name
 * @returns {Promise<Record<string, string>>}
 */
async function file(of, name) {
  const { default: lines } = await import(`../locales/${of}/${name}.js`);
  return lines;
}
