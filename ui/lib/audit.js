// What the audit log can be asked for. Pure.

/** What it tells of, by the part before the dot. */
export const ACTIONS = /** @type {const} */ ({
  server: ["create", "change", "delete", "start", "stop", "restart", "action", "call", "list_tools", "test"],
  code: ["put", "activate", "read"],
  env: ["put", "read"],
  log: ["read"],
  token: ["create", "change", "revoke", "lock_out"],
  session: ["sign_in", "sign_out"],
  backup: ["make"],
});

/**
 * @param {{ actor: string, action: string }} filter
 * @param {number | string | null} before id of the last entry that is known
 */
export function auditPath({ actor, action }, before) {
  const query = new URLSearchParams({ limit: "50" });
  if (actor !== "") query.set("actor", actor);
  if (action !== "") query.set("action", action);
  if (before !== null) query.set("before", String(before));
  return `/api/audit?${query}`;
}
