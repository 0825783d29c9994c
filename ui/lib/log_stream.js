// Follows a server's log over a WebSocket. After a break it goes on behind the
// last line it got, so no line is missing and none comes twice.

import { call, serverPath } from "./api.js";

/** @typedef {import("./types.js").LogRecord} LogRecord */
/** @typedef {"connecting" | "open" | "lost"} StreamState */

const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8_000;
/** Lines that come close together are handed on together. */
const GATHER_MS = 100;

export class LogStream {
  /**
   * @param {string} serverId
   * @param {{ after: () => number, onLines: (records: LogRecord[]) => void, onState: (state: StreamState) => void, onRestart: () => void }} options
   *   `onRestart` is told that the numbers begin anew, as after a loss of the log
   */
  constructor(serverId, options) {
    this.serverId = serverId;
    this.options = options;
    /** @type {LogRecord[]} */
    this.gathered = [];
    this.retryMs = RETRY_FIRST_MS;
    this.isClosed = false;
    this.isLost = false;
    this.timer = 0;
    this.handOverTimer = 0;
    this.#connect();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    clearTimeout(this.handOverTimer);
    // A socket that is closed before it is open makes the browser complain;
    // that one closes when it opens.
    if (this.socket?.readyState !== WebSocket.CONNECTING) this.socket?.close();
  }

  #connect() {
    if (this.isClosed) return;
    // One that was lost is so until it is open again.
    if (!this.isLost) this.options.onState("connecting");
    const after = this.options.after();
    let isFirst = true;
    const url = new URL(serverPath(this.serverId, `/logs?after=${after}`), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.addEventListener("open", () => {
      if (this.isClosed) {
        socket.close();
        return;
      }
      this.retryMs = RETRY_FIRST_MS;
      this.isLost = false;
      this.options.onState("open");
    });
    socket.addEventListener("message", (event) => {
      if (this.isClosed) return;
      /** @type {LogRecord} */
      const record = JSON.parse(String(event.data));
      if (isFirst && record.seq <= after) this.options.onRestart();
      isFirst = false;
      this.#take(record);
    });
    socket.addEventListener("close", () => this.#retry());
  }

  /** @param {LogRecord} record */
  #take(record) {
    this.gathered.push(record);
    if (this.handOverTimer !== 0) return;
    this.handOverTimer = window.setTimeout(() => this.#handOver(), GATHER_MS);
  }

  #handOver() {
    clearTimeout(this.handOverTimer);
    this.handOverTimer = 0;
    const records = this.gathered;
    this.gathered = [];
    if (records.length > 0) this.options.onLines(records);
  }

  #retry() {
    if (this.isClosed) return;
    // The next connection asks for what comes after the last line handed on.
    this.#handOver();
    this.isLost = true;
    this.options.onState("lost");
    this.timer = window.setTimeout(async () => {
      // A WebSocket does not tell why it was refused. This call does: where the
      // session has ended, it leads to the sign-in.
      await call("GET", "/api/session").catch(() => null);
      this.#connect();
    }, this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, RETRY_LAST_MS);
  }
}
