// What a server is in the middle of, told from what is wanted and what is
// observed. Pure.

/** @typedef {Pick<import("./types.js").Server, "desired" | "status" | "settled" | "hold" | "restart_needed">} Facts */

/**
 * What its container is on the way to, where its status does not tell.
 * @param {Facts} server
 * @returns {"stopping" | "restarting" | null}
 */
export function changing({ desired, status, settled, hold }) {
  if (settled !== false || hold) return null;
  if (desired === "stopped") return status === "stopped" ? null : "stopping";
  return status === "running" || status === "sleeping" ? "restarting" : null;
}

/**
 * What the version of its code that was put into use last is to it now.
 * @param {Facts} server
 * @returns {"inUse" | "starting" | "stopping" | "failed" | "nextStart"}
 */
export function versionUse(server) {
  const { desired, status, restart_needed: isOutdated } = server;
  const hasContainer = status === "running" || status === "sleeping";
  const change = changing(server);
  if (change === "stopping") return "stopping";
  if (change === "restarting" || status === "building" || status === "starting") return "starting";
  if (hasContainer) return isOutdated ? "nextStart" : "inUse";
  return desired === "running" && status === "error" ? "failed" : "nextStart";
}

/**
 * What comes of a version that was just put into use.
 * @param {Facts} server
 * @returns {"restarting" | "stopping" | "stopped" | "held"}
 */
export function versionFate(server) {
  if (server.hold && server.desired === "running") return "held";
  if (server.desired === "running") return "restarting";
  return changing(server) === "stopping" ? "stopping" : "stopped";
}
