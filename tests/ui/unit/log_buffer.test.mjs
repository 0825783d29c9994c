import assert from "node:assert/strict";
import { test } from "node:test";
import { LogBuffer } from "../../../ui/lib/log_buffer.js";

/**
 * @param {number} seq
 * @param {string} line
 * @param {"stdout" | "stderr" | "emcp"} [stream]
 * @returns {import("../../../ui/lib/types.js").LogRecord}
 */
const record = (seq, line, stream = "stdout") => ({ ts: "2026-01-01T00:00:00Z", stream, line, seq });

test("lines that are known already are left out", () => {
  const buffer = new LogBuffer();
  assert.equal(buffer.append([record(1, "a"), record(2, "b")]), 2);
  assert.equal(buffer.append([record(2, "b"), record(3, "c")]), 1);
  assert.deepEqual(buffer.shown.map(({ line }) => line), ["a", "b", "c"]);
});

test("the filter holds for old and new lines, and sees text without colours", () => {
  const buffer = new LogBuffer();
  buffer.append([record(1, "\u001b[31mRed\u001b[0m alert"), record(2, "calm", "stderr"), record(3, "--- run", "emcp")]);
  buffer.setFilter({ stdout: true, stderr: false, text: "red ALERT" });
  assert.equal(buffer.append([record(4, "red alert", "stderr"), record(5, "red alert")]), 1);
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), [1, 5]);
  buffer.setFilter({ stdout: false, stderr: false, text: "" });
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), [3]);
});

test("a cleared view goes on behind the last line", () => {
  const buffer = new LogBuffer();
  buffer.append([record(7, "a")]);
  buffer.clear();
  assert.equal(buffer.newest, 7);
  assert.equal(buffer.append([record(7, "a"), record(8, "b")]), 1);
});

test("memory is bounded", () => {
  const buffer = new LogBuffer();
  buffer.append(Array.from({ length: 150_000 }, (_, index) => record(index + 1, "x")));
  assert.ok(buffer.all.length <= 100_000);
  assert.equal(buffer.all.at(-1)?.seq, 150_000);
  assert.equal(buffer.shown.length, buffer.all.length);
});

test("what comes during a pause is shown after it, once and in order", () => {
  const buffer = new LogBuffer();
  buffer.append([record(1, "a")]);
  buffer.pause();
  assert.equal(buffer.append([record(2, "b"), record(3, "c")]), 0);
  assert.equal(buffer.append([record(3, "c")]), 0);
  assert.equal(buffer.shown.length, 1);
  assert.equal(buffer.held?.length, 2);
  buffer.resume();
  assert.equal(buffer.held, null);
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), [1, 2, 3]);
});

test("very long lines are bounded by their length, and what was dropped is counted", () => {
  const buffer = new LogBuffer();
  buffer.setFilter({ stdout: true, stderr: false, text: "" });
  const long = "x".repeat(1024 * 1024);
  for (let seq = 1; seq <= 100; seq += 1) buffer.append([record(seq, long, seq % 2 === 0 ? "stdout" : "stderr")]);
  assert.ok(buffer.chars <= 32 * 1024 * 1024);
  assert.ok(buffer.shown.every(({ seq }) => seq >= (buffer.all[0]?.seq ?? 0)));
  assert.equal(buffer.droppedShown + buffer.shown.length, 50);
});

test("a log that began anew is read from its beginning", () => {
  const buffer = new LogBuffer();
  buffer.append([record(50, "old")]);
  buffer.restart();
  assert.equal(buffer.append([record(1, "new")]), 1);
  assert.deepEqual(buffer.shown.map(({ line }) => line), ["new"]);
});

/**
 * @param {number} from
 * @param {number} to
 * @param {number | null} next
 * @param {string} [line]
 */
const page = (from, to, next, line = "x") => ({ records: Array.from({ length: to - from + 1 }, (_, index) => record(from + index, line)), next, oldest: { seq: 1, ts: "2026-01-01T00:00:00Z" } });

test("older pages come before the live lines, until the oldest that is kept", () => {
  const buffer = new LogBuffer();
  assert.equal(buffer.before, undefined);
  buffer.append([record(50, "a"), record(51, "b")]);
  assert.ok(buffer.mayHaveOlder);
  assert.equal(buffer.before, 50);
  buffer.prepend(page(30, 49, 30));
  assert.deepEqual([buffer.before, buffer.mayHaveOlder, buffer.prependedShown], [30, true, 20]);
  buffer.prepend(page(10, 29, null));
  assert.equal(buffer.mayHaveOlder, false);
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), Array.from({ length: 42 }, (_, index) => index + 10));
  assert.equal(buffer.append([record(51, "b"), record(52, "c")]), 1);
});

test("a log that is here from its first line on has no older ones", () => {
  const buffer = new LogBuffer();
  buffer.append([record(1, "a")]);
  assert.equal(buffer.mayHaveOlder, false);
});

test("what a search finds is not taken for all lines between", () => {
  const buffer = new LogBuffer();
  buffer.append([record(50, "needle"), record(51, "b")]);
  buffer.setFilter({ stdout: true, stderr: true, text: "needle" });
  assert.equal(buffer.before, 50);
  buffer.prepend({ ...page(7, 7, 7, "needle") });
  assert.deepEqual([buffer.before, buffer.mayHaveOlder], [7, true]);
  buffer.prepend(page(3, 3, null, "needle"));
  assert.equal(buffer.mayHaveOlder, false);
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), [3, 7, 50]);
  buffer.setFilter({ stdout: true, stderr: true, text: "" });
  assert.deepEqual(buffer.shown.map(({ seq }) => seq), [50, 51]);
  assert.deepEqual([buffer.before, buffer.mayHaveOlder], [50, true]);
});

test("where everything kept is here already, a search is over at once", () => {
  const buffer = new LogBuffer();
  buffer.append([record(50, "a")]);
  buffer.prepend(page(40, 49, null));
  buffer.setFilter({ stdout: true, stderr: true, text: "needle" });
  assert.equal(buffer.mayHaveOlder, false);
});

test("lines dropped for want of room can be asked for again", () => {
  const buffer = new LogBuffer();
  buffer.append([record(5, "x")]);
  buffer.prepend(page(2, 4, null));
  buffer.append(Array.from({ length: 150_000 }, (_, index) => record(index + 6, "x")));
  assert.ok(buffer.mayHaveOlder);
  assert.ok(buffer.isFull);
  assert.equal(buffer.before, buffer.all[0]?.seq);
});

test("a cleared view brings lines back only when they are asked for", () => {
  const buffer = new LogBuffer();
  buffer.append([record(7, "a")]);
  buffer.clear();
  assert.deepEqual([buffer.isCleared, buffer.before, buffer.mayHaveOlder], [true, 8, true]);
  buffer.prepend(page(1, 7, null));
  assert.deepEqual([buffer.isCleared, buffer.shown.length], [false, 7]);
});
