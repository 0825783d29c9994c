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
