import assert from "node:assert/strict";
import { test } from "node:test";
import { LineHeights } from "../../../ui/lib/line_heights.js";

test("tops, places and the whole agree with a plain sum", () => {
  const heights = new LineHeights();
  const plain = Array.from({ length: 5_000 }, (_, index) => 20 * (1 + (index * 7919) % 5));
  for (const height of plain) heights.push(height);
  for (const index of [0, 1, 2, 1_023, 1_024, 4_999]) {
    plain[index] = 60;
    heights.set(index, 60);
  }
  let top = 0;
  for (const [index, height] of plain.entries()) {
    assert.equal(heights.top(index), top);
    assert.equal(heights.indexAt(top), index);
    assert.equal(heights.indexAt(top + height - 1), index);
    top += height;
  }
  assert.equal(heights.total, top);
  assert.equal(heights.indexAt(top), plain.length);
});

test("a change tells by how much it grew", () => {
  const heights = new LineHeights();
  heights.push(20);
  heights.push(20);
  assert.equal(heights.set(1, 60), 40);
  assert.equal(heights.set(1, 60), 0);
  assert.equal(heights.total, 80);
});

test("an empty list has no height, also after it was cleared", () => {
  const heights = new LineHeights();
  assert.equal(heights.total, 0);
  assert.equal(heights.indexAt(10), 0);
  heights.push(20);
  heights.clear();
  heights.push(40);
  assert.equal(heights.total, 40);
});

test("lines that come before the others move them down by their height", () => {
  const heights = new LineHeights();
  for (const height of [20, 40, 20]) heights.push(height);
  assert.equal(heights.prepend([10, 30]), 40);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((index) => heights.top(index)), [0, 10, 40, 60, 100, 120]);
  assert.equal(heights.indexAt(45), 2);
});
