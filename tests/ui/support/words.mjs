// The words of the dashboard as its files have them, for the unit tests.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";

export const UI = fileURLToPath(new URL("../../../ui/", import.meta.url));

/** What is said by code is not said by key: lib/coded.js. */
const CODES = ["codes.js", "checks.js"];

/**
 * The words of one language, part by part.
 * @param {"en" | "zh"} language
 * @returns {Promise<Map<string, Record<string, string>>>}
 */
export async function partsOf(language) {
  const files = readdirSync(path.join(UI, "locales", language)).filter((file) => !CODES.includes(file));
  /** @param {string} file */
  const read = async (file) => (await import(path.join(UI, "locales", language, file))).default;
  return new Map(await Promise.all(files.map(async (file) => /** @type {const} */ ([file.replace(/\.js$/, ""), await read(file)]))));
}

/**
 * What one language says by code.
 * @param {"en" | "zh"} language
 * @returns {Promise<Record<string, string>>}
 */
export async function codesOf(language) {
  const files = CODES.map((file) => path.join(UI, "locales", language, file)).filter((file) => existsSync(file));
  return Object.assign({}, ...(await Promise.all(files.map(async (file) => (await import(file)).default))));
}

/**
 * All the words of some parts.
 * @param {Map<string, Record<string, string>>} parts
 * @returns {Record<string, string>}
 */
export function together(parts) {
  return Object.assign({}, ...parts.values());
}

/**
 * The files that come with this one: it imports them, or what it imports does.
 * @param {string} file below ui/
 * @param {Set<string>} [found]
 */
export function comesWith(file, found = new Set()) {
  if (found.has(file) || file.startsWith("vendor/")) return found;
  found.add(file);
  const imported = [...sourceOf(file).matchAll(/^(?:import|export)\b[^;]*?\bfrom "(\.[^"]+)";/gm)];
  for (const [, target = ""] of imported) comesWith(path.join(path.dirname(file), target), found);
  return found;
}

/** @param {string} file below ui/ */
export function sourceOf(file) {
  return readFileSync(path.join(UI, file), "utf8");
}

/**
 * The keys among these that a source names, whole or as a pattern such as
 * t(`status.${status}`).
 * @param {string} source
 * @param {string[]} keys
 */
export function usedIn(source, keys) {
  const whole = new Set([...source.matchAll(/["'`]([A-Za-z]+(?:\.[A-Za-z_]+)+)["'`]/g)].map(([, key]) => key));
  const patterns = [...source.matchAll(/`([a-z]+(?:\.[a-z]+)*\.)\$\{[^}]*\}([.a-z]*)`/g)];
  return keys.filter((key) => whole.has(key) || patterns.some(([, head = "", tail = ""]) => key.startsWith(head) && key.endsWith(tail)));
}
