// What the pages do with servers.

import { signal } from "../vendor/preact.js";
import { call, serverPath } from "./api.js";
import { refreshAll } from "./live.js";
import { changing } from "./phases.js";
import { failed } from "./toasts.js";

/** @typedef {import("./types.js").Server} Server */
/** @typedef {"start" | "stop" | "restart"} Action */

/** @type {import("../vendor/preact.js").Signal<ReadonlySet<string>>} */
const acting = signal(new Set());

/**
 * Whether its last failure is of the past: EMCP has restarted it, and it serves
 * again or sleeps.
 * @param {Server} server
 */
export function isPastFailure({ last_error, restarts, status }) {
  return last_error !== null && restarts > 0 && (status === "running" || status === "sleeping");
}

/**
 * Whether a call for this server is under way.
 * @param {string} id
 */
export function isActing(id) {
  return acting.value.has(id);
}

/**
 * @param {Server} server
 * @param {Action} action
 */
export async function act(server, action) {
  acting.value = new Set([...acting.value, server.id]);
  try {
    await call("POST", serverPath(server.id, "/action"), { json: { action } });
  } catch (error) {
    failed(error, () => act(server, action));
  } finally {
    acting.value = new Set([...acting.value].filter((id) => id !== server.id));
    refreshAll();
  }
}

/**
 * Whether the caller may do this with it, as EMCP tells.
 * @param {Server} server
 * @param {import("./types.js").ServerPermission} what
 */
export function can({ permissions }, what) {
  return permissions.includes(what);
}

/**
 * What can be asked of a server now.
 * @param {Server} server
 * @returns {Action[]}
 */
export function actionsFor(server) {
  if (server.desired === "stopped") return ["start"];
  // To start what sleeps is to wake it.
  return server.status === "error" || server.status === "sleeping" ? ["start", "stop"] : ["restart", "stop"];
}

/**
 * Whether what is wanted is not (yet) what is, and nothing else says so.
 * @param {Server} server
 */
export function differs(server) {
  if (changing(server)) return false;
  const isUp = server.status === "running" || server.status === "sleeping";
  return server.desired === "running" ? !isUp : server.status !== "stopped" && server.status !== "error";
}

/**
 * Whether doing this would change anything.
 * @param {Server} server
 * @param {Action} action
 */
export function hasEffect(server, action) {
  if (action === "stop") return server.desired === "running";
  // A server that was given up is started anew, one that sleeps is woken.
  if (action === "start") return server.desired === "stopped" || server.status === "error" || server.status === "sleeping";
  return server.desired === "running";
}
