// What a page shows of the server's state, kept fresh. Today by polling while
// the page is visible; server-sent events may take the place of the timer
// below without any page noticing.

import { effect, signal, untracked, useEffect, useMemo } from "../vendor/preact.js";
import { ApiError, callForText } from "./api.js";
import { session } from "./session.js";

const POLL_EVERY_MS = 2_000;

/**
 * @template T
 * @typedef {object} Live
 * @property {import("../vendor/preact.js").Signal<T | undefined>} data undefined before the first answer
 * @property {import("../vendor/preact.js").Signal<ApiError | null>} error of the last try
 * @property {() => Promise<void>} refresh
 */

/** @type {Map<string, Resource>} */
const resources = new Map();

/** Paths that begin with one of these are left alone for the moment. */
/** @type {Set<string>} */
const held = new Set();

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
    this.refresh = () => this.#fetch();
  }

  stop() {
    clearTimeout(this.timer);
    this.inFlight?.abort();
    this.inFlight = null;
  }

  async #fetch() {
    this.stop();
    if (!canPoll() || this.watchers === 0 || this.isGone || isHeld(this.path)) return;
    const controller = new AbortController();
    this.inFlight = controller;
    try {
      const text = await callForText("GET", this.path, { signal: controller.signal });
      if (controller.signal.aborted) return;
      // The same answer again must not draw the page again.
      if (text !== this.lastText) this.data.value = JSON.parse(text);
      this.lastText = text;
      this.error.value = null;
    } catch (error) {
      if (controller.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.error.value = error;
      // What is gone does not come back by asking again.
      if (error.status === 404 || error.status === 401 || error.status === 403) return;
    }
    this.inFlight = null;
    this.timer = window.setTimeout(this.refresh, POLL_EVERY_MS);
  }
}

function canPoll() {
  return document.visibilityState === "visible" && untracked(() => session.value.state === "in");
}

/** @param {string} path */
function isHeld(path) {
  return [...held].some((prefix) => path.startsWith(prefix));
}

document.addEventListener("visibilitychange", refreshAll);
effect(() => {
  if (session.value.state === "in") {
    refreshAll();
    return;
  }
  for (const resource of resources.values()) {
    resource.stop();
    // What one person saw is not the next one's to see.
    if (session.value.state === "out") {
      resource.data.value = undefined;
      resource.lastText = "";
    }
  }
});

/** Brings everything on the page up to date now, for example after a write. */
export function refreshAll() {
  for (const resource of resources.values()) void resource.refresh();
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
    for (const resource of below) resource.isGone = true;
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
