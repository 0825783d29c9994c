// The address of a part of the audit log. Pure.

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
