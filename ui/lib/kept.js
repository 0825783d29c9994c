// The storage of a server, as a form has it: in MiB, where the API has bytes
// (src/model/storage.rs). Pure.

import { MIB } from "./units.js";

/** @typedef {import("./types.js").Storage} Storage */

export const STORAGE_MIN_MIB = 16;
export const STORAGE_MAX_MIB = 1024 * 1024;

/**
 * @param {Storage | undefined} storage
 * @returns {string} empty for none
 */
export function storageDraft(storage) {
  return storage ? String(storage.size_bytes / MIB) : "";
}

/**
 * @param {string} draft
 * @returns {Storage}
 */
export function storageOf(draft) {
  return draft.trim() === "" ? null : { size_bytes: Math.round(Number(draft) * MIB) };
}

/**
 * What is wrong with it, or null.
 * @param {string} draft
 * @param {Storage} [has] what the server has already, which can only grow
 * @returns {"range" | "shrinks" | null}
 */
export function storageProblem(draft, has = null) {
  const wanted = storageOf(draft);
  const mib = Number(draft);
  if (wanted !== null && !(mib >= STORAGE_MIN_MIB && mib <= STORAGE_MAX_MIB)) return "range";
  return has && (wanted?.size_bytes ?? 0) < has.size_bytes ? "shrinks" : null;
}
