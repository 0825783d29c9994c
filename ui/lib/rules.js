// The API's rules for names, checked while typing. The API checks them again
// and has the last word (src/model/name.rs, src/model/env.rs, src/services/members.rs).

export const NAME_MAX = 40;
const MEMBERS_MAX = 100;
export const CODE_MAX_BYTES = 1024 * 1024;

const RESERVED_NAMES = new Set(
  "admin api audit backup ca check docs emcp events gate health healthz logs metrics names openapi overview ping readyz servers session settings templates tokens traefik usage version".split(" "),
);
const RESERVED_ENV_KEYS = new Set(["PYTHONHOME", "LD_PRELOAD", "LD_LIBRARY_PATH"]);

/**
 * What is wrong with a server's name, or null.
 * @param {string} name
 * @returns {"empty" | "long" | "characters" | "reserved" | null}
 */
export function nameProblem(name) {
  if (name === "") return "empty";
  if ([...name].length > NAME_MAX) return "long";
  if (!/^[a-z0-9](-?[a-z0-9])*$/.test(name)) return "characters";
  return RESERVED_NAMES.has(name) ? "reserved" : null;
}

/**
 * What is wrong with code before anybody reads it, or null.
 * @param {string} code
 * @returns {"large" | null}
 */
export function codeProblem(code) {
  // No text has fewer bytes than characters, which are quicker to count.
  const isLarge = code.length > CODE_MAX_BYTES || new TextEncoder().encode(code).length > CODE_MAX_BYTES;
  return isLarge ? "large" : null;
}

/** @param {string} text */
export function isEntryObject(text) {
  return [...text].length <= 64 && /^[\p{Alphabetic}_][\p{Alphabetic}\p{N}_]*$/u.test(text);
}

/**
 * What is wrong with the key of a variable, or null.
 * @param {string} key
 * @returns {"characters" | "reserved" | null}
 */
export function envKeyProblem(key) {
  if (key.length > 128 || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) return "characters";
  const upper = key.toUpperCase();
  return upper.startsWith("EMCP_") || RESERVED_ENV_KEYS.has(upper) ? "reserved" : null;
}

/**
 * What is wrong with the name of a new member, or null.
 * @param {string} name
 * @param {string[]} members those there are
 * @param {string} creator
 * @returns {"characters" | "creator" | "twice" | "many" | null}
 */
export function memberProblem(name, members, creator) {
  if (!/^[!-~]([ -~]{0,62}[!-~])?$/.test(name)) return "characters";
  if (name === creator) return "creator";
  if (members.includes(name)) return "twice";
  return members.length >= MEMBERS_MAX ? "many" : null;
}

/**
 * A name from a file's: "My Tools.py" gives "my-tools".
 * @param {string} file
 */
export function nameFromFile(file) {
  const words = file.replace(/\.[^.]*$/, "").toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.join("-").slice(0, NAME_MAX).replace(/-$/, "");
}
