// The stream of what EMCP tells by itself: the servers that changed, and what
// they use. It says what it knows, in what state it is, and nothing of pages;
// lib/live.js joins the two.
//
// An EventSource does not tell why it ended. So after each end the session is
// asked for: EMCP may be gone for the moment, the session may have ended, or
// only this connection broke.

import { ApiError, call } from "./api.js";
import { isAway } from "./errors.js";

/** @typedef {import("./types.js").Server} Server */
/** @typedef {import("./types.js").Usage} Usage */
/** live: events come. polling: EMCP answers, but the stream does not. lost: no answer at all. */
/** @typedef {"connecting" | "live" | "polling" | "lost"} StreamState */

const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 4_000;
/** While EMCP restarts, a call may wait at its door; after so long that is told. */
const PATIENCE_MS = 3_000;
/** After so long without any event a connection is taken for dead: usage comes every 5 s. */
const SILENT_MS = 60_000;

export class Stream {
  /**
   * @param {{
   *   onSnapshot: (servers: Server[]) => void,
   *   onChange: (servers: Server[], removed: string[]) => void,
   *   onUsage: (usage: Usage) => void,
   *   onState: (state: StreamState) => void,
   * }} on
   */
  constructor(on) {
    this.on = on;
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {StreamState} */
    this.state = "connecting";
    this.isOpen = false;
    this.retryMs = RETRY_FIRST_MS;
    this.retryTimer = 0;
    this.silenceTimer = 0;
  }

  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    this.retryMs = RETRY_FIRST_MS;
    this.#become("connecting");
    this.#connect();
  }

  close() {
    this.isOpen = false;
    clearTimeout(this.retryTimer);
    this.#drop();
  }

  /** Tries again now instead of after the pause. */
  retry() {
    if (!this.isOpen || this.source) return;
    clearTimeout(this.retryTimer);
    void this.#probe();
  }

  #connect() {
    const source = new EventSource("/api/events/stream");
    this.source = source;
    /**
     * @template T
     * @param {string} name
     * @param {(data: T) => void} take
     */
    const listen = (name, take) =>
      source.addEventListener(name, (/** @type {MessageEvent} */ event) => {
        if (this.source !== source) return;
        take(JSON.parse(event.data));
        this.#heard();
      });
    listen("snapshot", (/** @type {{ servers: Server[] }} */ data) => {
      this.retryMs = RETRY_FIRST_MS;
      this.on.onSnapshot(data.servers);
      this.#become("live");
    });
    listen("change", (/** @type {{ servers: Server[], removed: string[] }} */ data) => this.on.onChange(data.servers, data.removed));
    listen("usage", (/** @type {Usage} */ data) => this.on.onUsage(data));
    source.addEventListener("error", () => {
      if (this.source === source) this.#ended();
    });
  }

  #heard() {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = window.setTimeout(() => this.#ended(), SILENT_MS);
  }

  #drop() {
    clearTimeout(this.silenceTimer);
    this.source?.close();
    this.source = null;
  }

  #ended() {
    this.#drop();
    void this.#probe();
  }

  async #probe() {
    const patience = window.setTimeout(() => this.isOpen && !this.source && this.#become("lost"), PATIENCE_MS);
    try {
      // Where the session has ended, this leads to the sign-in and closes us.
      await call("GET", "/api/session");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!this.isOpen) return;
      if (isAway(error)) this.#become("lost");
      this.#later(() => this.#probe());
      return;
    } finally {
      clearTimeout(patience);
    }
    if (!this.isOpen || this.source) return;
    // Right after a break the first try is at once; a stream that does not
    // work at all is tried less and less often.
    const wasLost = this.state !== "polling";
    this.#become("polling");
    if (wasLost) this.#connect();
    else this.#later(() => this.#connect());
  }

  /** @param {() => unknown} what */
  #later(what) {
    clearTimeout(this.retryTimer);
    this.retryTimer = window.setTimeout(what, this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, RETRY_LAST_MS);
  }

  /** @param {StreamState} state */
  #become(state) {
    this.state = state;
    this.on.onState(state);
  }
}
