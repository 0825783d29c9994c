// Names that say which run made a thing, and whether that run still lives. They
// are of the form that scripts/leftovers.sh knows: the run's process id and the
// time this process started are never used twice together.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

export const RUN_PREFIX = "emcp-test-ui-";

/** A fresh name that belongs to this process. */
export function newName() {
  return `${RUN_PREFIX}${process.pid}-${startTime(process.pid)}-${randomBytes(2).toString("hex")}`;
}

/**
 * Whether the process that chose the name still runs.
 * @param {string} name
 */
export function ownerLives(name) {
  const [pid = "", started] = name.slice(RUN_PREFIX.length).split("-");
  return /^\d+$/.test(pid) && startTime(Number(pid)) === started;
}

/** @param {number} pid */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name, in brackets, may hold spaces; the start time is the
    // 20th field behind it.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return null;
  }
}
