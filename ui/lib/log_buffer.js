// The lines of a log that the page holds, and which of them are shown.
//
// `all` are the newest lines without a gap. Before them EMCP may keep others:
// they come in pages (lib/log_history.js), all of them where nothing is
// filtered, otherwise those that fit.

import { stripAnsi } from "./ansi.js";

/** @typedef {import("./types.js").LogRecord} LogRecord */
/** @typedef {{ stdout: boolean, stderr: boolean, text: string }} LogFilter */
/** @typedef {import("./types.js").Documents["Edge"]} Edge */
/** @typedef {import("./types.js").Documents["LogPage"]} LogPage as EMCP answers */

const MAX_LINES = 100_000;
/** Very long lines are few: a page has no more memory for them. */
const MAX_CHARS = 32 * 1024 * 1024;
/** Dropped in one go when there are too many, so that it is seldom done. */
const DROP_SHARE = 0.1;

export class LogBuffer {
  constructor() {
    /** @type {LogRecord[]} */
    this.all = [];
    /** @type {LogRecord[]} older lines that fit the filter, where there is one */
    this.found = [];
    /** @type {LogRecord[]} */
    this.shown = [];
    /** @type {LogFilter} */
    this.filter = { stdout: true, stderr: true, text: "" };
    this.newest = 0;
    /** Rises when other lines are shown than before and those behind them. */
    this.revision = 0;
    /** How many shown lines were dropped at the top, since the last revision. */
    this.droppedShown = 0;
    /** How many were put before the others, since the last revision. */
    this.prependedShown = 0;
    /** Whether `all` begins with the oldest line that is kept. */
    this.beginsAtOldest = false;
    /** @type {number | null} older lines than this were not searched yet; null before the first page */
    this.searchedBefore = null;
    this.isSearched = false;
    this.isCleared = false;
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

  /** Whether not every line is shown. */
  get isNarrow() {
    const { stdout, stderr, text } = this.filter;
    return text !== "" || !stdout || !stderr;
  }

  /** Whether EMCP may keep older lines that would be shown. */
  get mayHaveOlder() {
    const { stdout, stderr } = this.filter;
    if (this.beginsAtOldest || this.all[0]?.seq === 1 || !(stdout || stderr)) return false;
    return !(this.isNarrow && this.isSearched);
  }

  /** Whether more lines have room. */
  get isFull() {
    return this.all.length > MAX_LINES * (1 - 2 * DROP_SHARE) || this.chars > MAX_CHARS * (1 - 2 * DROP_SHARE);
  }

  /** The next page has lines before this number; undefined where none is known. */
  get before() {
    const here = this.all[0]?.seq ?? (this.newest > 0 ? this.newest + 1 : undefined);
    return this.isNarrow ? (this.searchedBefore ?? here) : here;
  }

  /**
   * Takes in a page of lines before `before`, asked for with the filter as it is.
   * @param {LogPage} page
   */
  prepend({ records, next }) {
    if (this.isNarrow) {
      this.found = records.concat(this.found);
      this.searchedBefore = next;
      this.isSearched = next === null;
    } else {
      this.all = records.concat(this.all);
      this.chars += records.reduce((sum, { line }) => sum + line.length, 0);
      this.newest = Math.max(this.newest, records.at(-1)?.seq ?? 0);
      this.beginsAtOldest = next === null;
    }
    this.isCleared = false;
    this.shown = records.concat(this.shown);
    this.prependedShown += records.length;
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
    this.isCleared = false;
    this.#forgetFound();
    this.#show(this.all.filter((record) => this.#fits(record)));
  }

  /** Forgets the lines, but not how far the log was read. */
  clear() {
    this.all = [];
    this.chars = 0;
    this.beginsAtOldest = false;
    this.isCleared = true;
    this.#forgetFound();
    if (this.held) this.held = [];
    this.#show([]);
  }

  /** The log began anew: what was read before is not part of it. */
  restart() {
    this.clear();
    this.isCleared = false;
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
    // What was found lies before a gap now; it can be asked for again.
    this.beginsAtOldest = false;
    this.#forgetFound();
    const oldest = this.all[0]?.seq ?? Infinity;
    const stays = this.shown.findIndex(({ seq }) => seq >= oldest);
    const gone = stays < 0 ? this.shown.length : stays;
    this.shown.splice(0, gone);
    this.droppedShown += gone;
  }

  #forgetFound() {
    this.found = [];
    this.searchedBefore = null;
    this.isSearched = false;
  }

  /** @param {LogRecord[]} records */
  #show(records) {
    this.shown = records;
    this.revision += 1;
    this.droppedShown = 0;
    this.prependedShown = 0;
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
