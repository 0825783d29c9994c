// Sentences that EMCP sends with a code and arguments, in the reader's words.
// Pure; lib/coded.js brings the language.

import { fill } from "./fill.js";
import { amount, duration } from "./units.js";

/** @typedef {import("./types.js").Args} Args */
/** @typedef {import("./types.js").Fault} Fault */
/** @typedef {"reason" | "event" | "fault" | "notice" | "problem" | "step"} Kind */
/** @typedef {{ words: Record<string, string>, language: string }} Tongue */

/** How many of something; other numbers are names, such as exit codes. */
const COUNTS = new Set(["failures", "tools", "variables", "versions"]);

/**
 * The words for a code; EMCP's own sentence where there are none, or where the
 * values they need did not come along, as with a code of a newer or older EMCP.
 * @param {Tongue} tongue
 * @param {Kind} kind
 * @param {string | undefined} code
 * @param {Args} args
 * @param {string} original EMCP's own sentence
 */
export function codedWords(tongue, kind, code, args, original) {
  const words = code === undefined ? undefined : wordsOf(tongue, kind, code, args);
  if (words === undefined) return sentence(original);
  const values = valuesOf(tongue, args);
  const isWhole = [...words.matchAll(/\{(\w+)\}/g)].every(([, name = ""]) => Object.hasOwn(values, name));
  return sentence(isWhole ? fill(words, values) : original);
}

/**
 * What went wrong with a run. Words for what the user's file did take in the
 * original sentence, which names its lines and objects.
 * @param {Tongue} tongue
 * @param {Fault} fault
 */
export function faultWords(tongue, { code, message, args }) {
  return codedWords(tongue, "fault", code, { ...args, message: bare(message) }, message);
}

/**
 * The same beneath a heading that says already what kind of failure it is.
 * @param {Tongue} tongue
 * @param {Fault} fault
 */
export function faultDetail(tongue, fault) {
  const isReported = wordsOf(tongue, "fault", fault.code, fault.args)?.includes("{message}");
  return isReported ? sentence(fault.message) : faultWords(tongue, fault);
}

/**
 * EMCP's messages begin in lower case and end without a stop.
 * @param {string} text
 */
export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?:。！？]$/.test(first) ? first : `${first}.`;
}

/**
 * @param {Tongue} tongue
 * @param {Kind} kind
 * @param {string} code
 * @param {Args} args
 */
function wordsOf({ words }, kind, code, args) {
  // A server that comes into a state is told with the state's reason.
  const own = words[`${kind}.${kind === "fault" ? wayToFail(code, args) : code}`];
  return own ?? (kind === "event" ? words[`reason.${code}`] : undefined);
}

/**
 * A process ends in ways that are told apart by its exit code, and a module may
 * be missing since it is a file of the project's own.
 * @param {string} code
 * @param {Args} args
 */
function wayToFail(code, args) {
  if (code === "missing_dependency" && args?.module !== undefined) {
    return args.is_own ? "missing_dependency_own" : "missing_dependency_package";
  }
  if (code !== "crashed") return code;
  if (args?.signal === 9) return "crashed_killed";
  if (args?.signal !== undefined) return "crashed_signal";
  return args?.exit_code === 0 ? "crashed_zero" : "crashed";
}

/**
 * The arguments as words, by the unit in their names.
 * @param {Tongue} tongue
 * @param {Args} args
 * @returns {Record<string, string>}
 */
function valuesOf(tongue, args) {
  const { language } = tongue;
  const known = Object.entries(args ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]) => {
      // A whole sentence as the beginning of a longer one.
      if (typeof value === "object") return [name, bare(faultWords(tongue, /** @type {Fault} */ (value)))];
      if (typeof value !== "number") return [name, String(value)];
      if (name.endsWith("_secs")) return [name, duration(value, language)];
      if (name.endsWith("_bytes")) return [name, amount(value)];
      return [name, COUNTS.has(name) ? new Intl.NumberFormat(language).format(value) : String(value)];
    }),
  );
}

/** @param {string} text */
function bare(text) {
  return text.replace(/[.。]$/, "");
}
