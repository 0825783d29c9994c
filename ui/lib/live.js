// What a page shows of the platform's state, kept fresh: the one place that
// knows how. Servers come by the event stream (lib/stream.js). What the stream
// does not carry is asked for again when a server it belongs to has changed;
// and where there is no stream, everything is asked for every few seconds.

import { batch, effect, signal, untracked, useEffect, useMemo } from "../vendor/preact.js";
import { ApiError, callForText } from "./api.js";
import { isAway } from "./errors.js";
import { session } from "./session.js";
import { Stream } from "./stream.js";
import { unsaved } from "./unsaved.js";

/** @typedef {import("./types.js").Server} Server */
/** @typedef {import("./types.js").Usage} Usage */

/** Without the stream. */
const POLL_EVERY_MS = 2_000;
/** What no event tells of, such as tokens. */
const POLL_OTHERS_MS = 10_000;
/** A burst of changes makes one call. */
const GATHER_MS = 700;
/** A page that nobody looks at lets go of the stream after so long. */
const HIDDEN_MS = 30_000;
/** What the stream brings is not asked for while its first event may be near. */
const STREAM_DEADLINE_MS = 2_000;

/**
 * @template T
 * @typedef {object} Live
 * @property {import("../vendor/preact.js").Signal<T | undefined>} data undefined before the first answer
 * @property {import("../vendor/preact.js").Signal<ApiError | null>} error of the last try
 * @property {() => Promise<void>} refresh
 */

/** How the page is kept fresh. @type {import("../vendor/preact.js").Signal<import("./stream.js").StreamState>} */
export const freshness = signal("connecting");
/** What the containers use, as last told. @type {import("../vendor/preact.js").Signal<Usage | null>} */
export const usage = signal(null);

/** @type {Map<string, Resource>} */
const resources = new Map();
/** These paths and those below them are left alone for the moment. @type {Set<string>} */
const held = new Set();
/** The servers as the stream told of them; complete while it is live. @type {Map<string, Server>} */
let servers = new Map();

class Resource {
  /** @param {string} path */
  constructor(path) {
    this.path = path;
    this.data = signal(/** @type {any} */ (undefined));
    this.error = signal(/** @type {ApiError | null} */ (null));
    this.watchers = 0;
    this.lastText = "";
    /** @type {AbortController | null} */
    this.inFlight = null;
    this.timer = 0;
    this.isGone = false;
    /** The server it is of, by name or id; "" for none. */
    this.ofServer = decodeURIComponent(/^\/api\/servers\/([^/?]+)/.exec(path)?.[1] ?? "");
    this.isServer = /^\/api\/servers\/[^/?]+$/.test(path);
    this.isList = path === "/api/servers";
    this.refresh = () => this.#fetch();
  }

  stop() {
    clearTimeout(this.timer);
    this.inFlight?.abort();
    this.inFlight = null;
  }

  /** @param {number} milliseconds */
  refreshIn(milliseconds) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(this.refresh, milliseconds);
  }

  /** Takes the servers' state from the stream, if it has what this shows. */
  take() {
    if (freshness.peek() !== "live" || !(this.isList || this.isServer)) return false;
    const found = this.isList ? { servers: [...servers.values()] } : find(this.ofServer);
    if (!found) return false;
    this.stop();
    this.isGone = false;
    this.lastText = "";
    this.data.value = found;
    this.error.value = null;
    return true;
  }

  /** Its server was removed. */
  end() {
    this.stop();
    this.isGone = true;
    if (this.isServer) this.error.value = new ApiError(404, "server_not_found", "this server was deleted");
  }

  async #fetch() {
    this.stop();
    if (!canAsk() || this.watchers === 0 || this.isGone || isHeld(this.path) || this.take()) return;
    if (freshness.peek() === "connecting" && (this.isList || this.isServer) && Date.now() < streamDeadline) {
      this.refreshIn(streamDeadline - Date.now());
      return;
    }
    const controller = new AbortController();
    this.inFlight = controller;
    try {
      const text = await callForText("GET", this.path, { signal: controller.signal });
      if (controller.signal.aborted) return;
      // The same answer again must not draw the page again.
      if (text !== this.lastText) this.data.value = this.isList ? merged(this.data.peek(), JSON.parse(text)) : JSON.parse(text);
      this.lastText = text;
      this.error.value = null;
    } catch (error) {
      if (controller.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      if (isAway(error)) stream.retry();
      // That EMCP does not answer is said once, at the top of the page.
      if (!isAway(error) || this.data.peek() === undefined) this.error.value = error;
      // What is gone does not come back by asking again.
      if (!isAway(error) && [401, 403, 404].includes(error.status)) return;
    }
    this.inFlight = null;
    if (freshness.peek() !== "live" || this.error.peek()) this.refreshIn(POLL_EVERY_MS);
    else if (this.ofServer === "") this.refreshIn(POLL_OTHERS_MS);
  }
}

/** @param {string} nameOrId */
function find(nameOrId) {
  return servers.get(nameOrId) ?? [...servers.values()].find((server) => server.name === nameOrId);
}

/**
 * The new list with the old objects where nothing changed, so that only what
 * changed is drawn again.
 * @param {{ servers: Server[] } | undefined} before
 * @param {{ servers: Server[] }} after
 */
function merged(before, after) {
  const known = new Map(before?.servers.map((server) => [server.id, server]));
  return { ...after, servers: [...sorted(after.servers.map((server) => unchanged(known.get(server.id), server))).values()] };
}

/**
 * @param {Server | undefined} before
 * @param {Server} after
 */
function unchanged(before, after) {
  return before && JSON.stringify(before) === JSON.stringify(after) ? before : after;
}

/** "server-2" comes before "server-10". */
const order = new Intl.Collator("en", { numeric: true });

/** @param {Iterable<Server>} list */
function sorted(list) {
  const byName = [...list].sort((one, other) => order.compare(one.name, other.name));
  return new Map(byName.map((server) => [server.id, server]));
}

let streamDeadline = 0;
const stream = new Stream({
  onSnapshot: (list) => {
    const before = servers;
    servers = sorted(list.map((server) => unchanged(before.get(server.id), server)));
    const gone = [...before.values()].filter((server) => !servers.has(server.id));
    freshness.value = "live";
    // The connection may be new because something happened meanwhile.
    told(null, gone);
  },
  onChange: (changed, removed) => {
    const gone = removed.flatMap((id) => servers.get(id) ?? []);
    for (const { id } of gone) servers.delete(id);
    const isNew = changed.some((server) => !servers.has(server.id));
    for (const server of changed) servers.set(server.id, server);
    if (isNew) servers = sorted(servers.values());
    told(changed, gone);
  },
  onUsage: (told) => {
    usage.value = told;
  },
  onState: (state) => {
    const before = freshness.peek();
    freshness.value = state;
    if (state === "connecting") streamDeadline = Date.now() + STREAM_DEADLINE_MS;
    // The stream may be back in a moment, and then brings everything.
    if (state === "polling" && before !== "polling") for (const resource of resources.values()) resource.refreshIn(GATHER_MS);
  },
});

/**
 * Hands on what the stream told.
 * @param {Server[] | null} changed null when it may be anything
 * @param {Server[]} gone
 */
function told(changed, gone) {
  const isOf = (/** @type {Server[]} */ list, /** @type {Resource} */ { ofServer }) => list.some(({ id, name }) => id === ofServer || name === ofServer);
  batch(() => {
    for (const resource of [...resources.values()]) {
      if (isHeld(resource.path)) continue;
      const isNew = resource.isGone && (changed ?? [...servers.values()]).some(({ name }) => name === resource.ofServer);
      if (isNew) resource.isGone = false;
      if (isOf(gone, resource) && !find(resource.ofServer)) resource.end();
      else if (resource.take()) continue;
      else if (changed === null || resource.path === "/api/overview" || isOf(changed, resource)) resource.refreshIn(GATHER_MS);
    }
  });
}

function canAsk() {
  return document.visibilityState === "visible" && untracked(() => session.value.state === "in");
}

/** @param {string} path */
function isHeld(path) {
  return [...held].some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
}

let hiddenTimer = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.visibilityState === "hidden") {
    hiddenTimer = window.setTimeout(() => stream.close(), HIDDEN_MS);
  } else {
    if (untracked(() => session.value.state === "in")) stream.open();
    refreshAll();
  }
});

effect(() => {
  const { state } = session.value;
  if (state === "in") {
    stream.open();
    refreshAll();
    return;
  }
  stream.close();
  for (const resource of resources.values()) resource.stop();
  // What one person saw is not the next one's to see.
  if (state !== "out") return;
  servers = new Map();
  usage.value = null;
  for (const resource of resources.values()) {
    resource.data.value = undefined;
    resource.lastText = "";
  }
});

/** Brings everything on the page up to date now, for example after a write. */
export function refreshAll() {
  for (const resource of resources.values()) void resource.refresh();
}

/** Asks now whether EMCP answers again. */
export function tryNow() {
  stream.retry();
}

/**
 * Runs a call that makes a path disappear. What begins with that path is not
 * asked for meanwhile, nor afterwards by the page that is about to be left.
 * @param {string} prefix
 * @param {() => Promise<unknown>} remove
 */
export async function whileRemoving(prefix, remove) {
  held.add(prefix);
  const below = [...resources.values()].filter((resource) => isHeld(resource.path));
  for (const resource of below) resource.stop();
  try {
    await remove();
    // Where something is typed, its page stays, and has to tell.
    for (const resource of below) {
      if (unsaved.peek()) resource.end();
      else resource.isGone = true;
    }
  } finally {
    held.delete(prefix);
    refreshAll();
  }
}

/**
 * What `GET path` answers, kept fresh while the component is shown.
 * @template T
 * @param {string} path
 * @returns {Live<T>}
 */
export function useLive(path) {
  const resource = useMemo(() => {
    const known = resources.get(path) ?? new Resource(path);
    resources.set(path, known);
    // What is known already is there with the first drawing.
    untracked(() => known.take());
    return known;
  }, [path]);
  useEffect(() => {
    // The last watcher but this one may have removed it meanwhile.
    resources.set(path, resource);
    resource.watchers += 1;
    void resource.refresh();
    return () => {
      resource.watchers -= 1;
      if (resource.watchers > 0) return;
      resource.stop();
      resources.delete(path);
    };
  }, [resource]);
  return resource;
}
