// The lines of a log that the page holds, and which of them are shown.

import { stripAnsi } from "./ansi.js";

/** @typedef {import("./types.js").LogRecord} LogRecord */
/** @typedef {{ stdout: boolean, stderr: boolean, text: string }} LogFilter */

const MAX_LINES = 100_000;
/** Very long lines are few: a page has no more memory for them. */
const MAX_CHARS = 32 * 1024 * 1024;
/** Dropped in one go when there are too many, so that it is seldom done. */
const DROP_SHARE = 0.1;

export class LogBuffer {
  constructor() {
    /** @type {LogRecord[]} */
    this.all = [];
    /** @type {LogRecord[]} */
    this.shown = [];
    /** @type {LogFilter} */
    this.filter = { stdout: true, stderr: true, text: "" };
    this.newest = 0;
    /** Rises when other lines are shown than before and those behind them. */
    this.revision = 0;
    /** How many shown lines were dropped at the top, since the last revision. */
    this.droppedShown = 0;
    /** @type {LogRecord[] | null} what came while the view was paused */
    this.held = null;
    this.chars = 0;
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
      if (this.held) this.held.push(record);
      else this.#add(record);
    }
    const added = this.shown.length - before;
    if (this.held && this.held.length > MAX_LINES) this.held.splice(0, this.held.length - MAX_LINES);
    this.#drop();
    return added;
  }

  /** From now on new lines are kept back. */
  pause() {
    this.held ??= [];
  }

  /** Shows what was kept back. */
  resume() {
    const held = this.held ?? [];
    this.held = null;
    for (const record of held) this.#add(record);
    this.#drop();
  }

  /** @param {LogFilter} filter */
  setFilter(filter) {
    this.filter = filter;
    this.#show(this.all.filter((record) => this.#fits(record)));
  }

  /** Forgets the lines, but not how far the log was read. */
  clear() {
    this.all = [];
    this.chars = 0;
    if (this.held) this.held = [];
    this.#show([]);
  }

  /** The log began anew: what was read before is not part of it. */
  restart() {
    this.clear();
    this.newest = 0;
  }

  /** @param {LogRecord} record */
  #add(record) {
    this.all.push(record);
    this.chars += record.line.length;
    if (this.#fits(record)) this.shown.push(record);
  }

  #drop() {
    if (this.all.length <= MAX_LINES && this.chars <= MAX_CHARS) return;
    let count = 0;
    while (this.all.length - count > MAX_LINES * (1 - DROP_SHARE) || this.chars > MAX_CHARS * (1 - DROP_SHARE)) {
      this.chars -= this.all[count]?.line.length ?? 0;
      count += 1;
    }
    this.all.splice(0, count);
    const oldest = this.all[0]?.seq ?? Infinity;
    const stays = this.shown.findIndex(({ seq }) => seq >= oldest);
    const gone = stays < 0 ? this.shown.length : stays;
    this.shown.splice(0, gone);
    this.droppedShown += gone;
  }

  /** @param {LogRecord[]} records */
  #show(records) {
    this.shown = records;
    this.revision += 1;
    this.droppedShown = 0;
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
