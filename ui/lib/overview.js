// What the overview works out by itself. Pure.

/** @typedef {import("./types.js").Server} Server */
/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {{ at: string, cpu_cores: number, memory_bytes: number }} Sample */

const KEPT_MS = 10 * 60 * 1000;

/**
 * Two series as one, by time, no older than ten minutes.
 * @param {Sample[]} before
 * @param {Sample[]} after
 */
export function joined(before, after) {
  const byTime = new Map([...before, ...after].map((sample) => [Date.parse(sample.at), sample]));
  const times = [...byTime.keys()].sort((one, other) => one - other);
  const newest = times.at(-1) ?? 0;
  return times.filter((time) => newest - time <= KEPT_MS).flatMap((time) => byTime.get(time) ?? []);
}

/**
 * What somebody should look at. EMCP's own list says what and in which order;
 * the servers, which are fresher, say whether it still holds, and which failed
 * since.
 * @param {Server[]} servers
 * @param {Overview["attention"]} told
 * @returns {NonNullable<Overview["attention"]>}
 */
export function needsAttention(servers, told = []) {
  const byId = new Map(servers.map((server) => [server.id, server]));
  const still = told.filter((item) => byId.get(item.server.id)?.status === item.status);
  const known = new Set(still.map((item) => item.server.id));
  const isAmiss = (/** @type {Server} */ { status }) => status === "error" || status === "unresponsive";
  const fresh = servers.filter((server) => isAmiss(server) && !known.has(server.id));
  return [...fresh.map(failing), ...still];
}

/** @param {Server} server */
function failing({ id, name, status, since, ...why }) {
  const { reason, reason_code, reason_args } = why;
  return { server: { id, name }, status, code: status === "error" ? "failed" : status, since, reason, reason_code, reason_args };
}
