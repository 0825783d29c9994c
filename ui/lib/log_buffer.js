// The lines of a log that the page holds, and which of them are shown.

import { stripAnsi } from "./ansi.js";

/** @typedef {import("./types.js").LogRecord} LogRecord */
/** @typedef {{ stdout: boolean, stderr: boolean, text: string }} LogFilter */

const MAX_LINES = 100_000;
/** Dropped in one go when there are too many, so that it is seldom done. */
const DROP_LINES = 10_000;

export class LogBuffer {
  constructor() {
    /** @type {LogRecord[]} */
    this.all = [];
    /** @type {LogRecord[]} */
    this.shown = [];
    /** @type {LogFilter} */
    this.filter = { stdout: true, stderr: true, text: "" };
    this.newest = 0;
  }

  /**
   * Takes lines in; those that are known already are left out.
   * @param {LogRecord[]} records
   * @returns {number} how many of them are shown
   */
  append(records) {
    const before = this.shown.length;
    for (const record of records) {
      if (record.seq <= this.newest) continue;
      this.newest = record.seq;
      this.all.push(record);
      if (this.#fits(record)) this.shown.push(record);
    }
    const added = this.shown.length - before;
    if (this.all.length > MAX_LINES) {
      this.all.splice(0, this.all.length - MAX_LINES + DROP_LINES);
      this.#choose();
    }
    return added;
  }

  /** @param {LogFilter} filter */
  setFilter(filter) {
    this.filter = filter;
    this.#choose();
  }

  /** Forgets the lines, but not how far the log was read. */
  clear() {
    this.all = [];
    this.shown = [];
  }

  #choose() {
    this.shown = this.all.filter((record) => this.#fits(record));
  }

  /** @param {LogRecord} record */
  #fits(record) {
    const { text } = this.filter;
    // EMCP's own lines are markers between runs; without them lines of
    // different runs would seem to be of one.
    if (record.stream !== "emcp" && !this.filter[record.stream]) return false;
    return text === "" || stripAnsi(record.line).toLowerCase().includes(text.toLowerCase());
  }
}
