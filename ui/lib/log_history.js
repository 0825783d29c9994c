// Brings the lines of a log that are older than those the live view began with,
// a page at a time, as somebody scrolls up or searches.

import { ApiError, call, callForText, serverPath } from "./api.js";

/** @typedef {import("./log_buffer.js").LogBuffer} LogBuffer */
/** @typedef {import("./log_buffer.js").LogPage} LogPage */
/** @typedef {import("./log_buffer.js").Edge} Edge */

const PAGE_LINES = 1_000;
/** More than EMCP keeps. */
const ALL_LINES = 1_000_000;
/** A search begins when typing has paused for so long. */
const TYPING_MS = 300;

export class LogHistory {
  /**
   * @param {string} serverId
   * @param {LogBuffer} buffer
   * @param {() => void} onChange
   */
  constructor(serverId, buffer, onChange) {
    this.serverId = serverId;
    this.buffer = buffer;
    this.onChange = onChange;
    /** @type {Edge | null | undefined} the oldest line that is kept; null for none, undefined while that is not known */
    this.oldest = undefined;
    /** @type {unknown} why the last page did not come */
    this.error = null;
    /** @type {AbortController | null} */
    this.loading = null;
    this.typingTimer = 0;
  }

  get isLoading() {
    return this.loading !== null || this.typingTimer !== 0;
  }

  close() {
    this.loading?.abort();
    // Whoever waits for it learns by this that it is not wanted any more.
    this.loading = null;
    clearTimeout(this.typingTimer);
  }

  /** Finds out how far back the log goes. What did not come before is asked for again. */
  async look() {
    try {
      /** @type {LogPage} */
      const { oldest } = await call("GET", this.#path({ format: "json", limit: "1" }));
      // The first line may have come meanwhile.
      this.oldest = oldest ?? this.oldest ?? null;
      this.error = null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
    this.onChange();
  }

  /** The filter has changed: what was asked for is not wanted any more. */
  filterChanged() {
    this.close();
    this.error = null;
    this.typingTimer = this.buffer.filter.text === "" ? 0 : window.setTimeout(() => this.#typed(), TYPING_MS);
  }

  /** Brings the next page, unless one is on its way or there is none. */
  async load() {
    const { buffer } = this;
    if (this.isLoading || !buffer.mayHaveOlder || buffer.isFull) return;
    const controller = new AbortController();
    const { before } = buffer;
    this.loading = controller;
    this.onChange();
    try {
      const query = { format: "json", limit: String(PAGE_LINES), ...(before === undefined ? {} : { before: String(before) }), ...this.#filter() };
      /** @type {LogPage} */
      const page = await call("GET", this.#path(query), { signal: controller.signal });
      if (this.loading !== controller) return;
      this.oldest = page.oldest;
      this.error = null;
      // Lines may have been dropped or cleared meanwhile: then this is not what comes next.
      if (buffer.before === before) buffer.prepend(page);
    } catch (error) {
      if (this.loading !== controller) return;
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
    this.loading = null;
    this.onChange();
  }

  /** Asks again for what did not come. */
  retry() {
    return this.buffer.mayHaveOlder ? this.load() : this.look();
  }

  /** All lines that are kept and fit the filter, as text. */
  text() {
    return callForText("GET", this.#path({ tail: String(ALL_LINES), timestamps: "true", ...this.#filter() }));
  }

  #typed() {
    this.typingTimer = 0;
    this.onChange();
  }

  /** @returns {Record<string, string>} */
  #filter() {
    const { text, stdout, stderr } = this.buffer.filter;
    return { ...(text === "" ? {} : { grep: text }), ...(stdout === stderr ? {} : { stream: stdout ? "stdout" : "stderr" }) };
  }

  /** @param {Record<string, string>} query */
  #path(query) {
    return serverPath(this.serverId, `/logs?${new URLSearchParams(query)}`);
  }
}
