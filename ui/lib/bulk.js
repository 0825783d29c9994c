// The same action for many servers, a few at a time.

import { batch, signal } from "../vendor/preact.js";
import { call, serverPath } from "./api.js";

/** @typedef {import("./types.js").Server} Server */
/** @typedef {import("./servers.js").Action} Action */
/** @typedef {{ server: Server, error: unknown }} BulkFailure */
/** @typedef {{ action: Action, all: number, done: number, failures: BulkFailure[], isRunning: boolean }} Bulk */

/** EMCP accepts an action at once and does the work later, so few are enough. */
const AT_ONCE = 4;

/** The chosen servers, by id. @type {import("../vendor/preact.js").Signal<ReadonlySet<string>>} */
export const chosen = signal(new Set());
/** The run under way, or the last one until it is dismissed. @type {import("../vendor/preact.js").Signal<Bulk | null>} */
export const bulk = signal(null);

/** @param {string} id */
export function toggle(id) {
  const next = new Set(chosen.value);
  if (!next.delete(id)) next.add(id);
  chosen.value = next;
}

/** @param {Iterable<string>} ids */
export function choose(ids) {
  chosen.value = new Set(ids);
}

/**
 * @param {Action} action
 * @param {Server[]} servers
 */
export async function runBulk(action, servers) {
  if (bulk.peek()?.isRunning) return;
  bulk.value = { action, all: servers.length, done: 0, failures: [], isRunning: true };
  const waiting = [...servers];
  const work = async () => {
    for (let server = waiting.shift(); server; server = waiting.shift()) {
      const error = await call("POST", serverPath(server.id, "/action"), { json: { action } }).then(() => null, (problem) => problem);
      const { done, failures, ...rest } = /** @type {Bulk} */ (bulk.peek());
      bulk.value = { ...rest, done: done + 1, failures: error ? [...failures, { server, error }] : failures };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  batch(() => {
    const ended = /** @type {Bulk} */ (bulk.peek());
    bulk.value = { ...ended, isRunning: false };
    // What failed stays chosen, to be tried again.
    choose(ended.failures.map(({ server }) => server.id));
  });
}
