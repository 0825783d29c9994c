import assert from "node:assert/strict";
import { test } from "node:test";
import { areaPath, linePath, nearest, roundUp } from "../../../ui/lib/chart.js";

const BOX = { width: 100, height: 54, from: 0, to: 100_000, top: 10 };

test("points become a line from left to right, higher values higher up", () => {
  const points = [{ at: 0, value: 0 }, { at: 10_000, value: 10 }, { at: 20_000, value: 5 }];
  assert.equal(linePath(points, BOX), "M0 52L10 2L20 27");
  assert.equal(areaPath(points, BOX), "M0 54L0 52L10 2L20 27V54Z");
});

test("where nobody measured the line is broken, and what is too old is left out", () => {
  const points = [{ at: -5_000, value: 1 }, { at: 0, value: 0 }, { at: 60_000, value: 0 }, { at: 65_000, value: 0 }];
  assert.equal(linePath(points, BOX), "M0 52M60 52L65 52");
  assert.equal(linePath([], BOX), "");
});

test("the point under the pointer is the nearest one", () => {
  const points = [{ at: 0, value: 1 }, { at: 10, value: 2 }];
  assert.equal(nearest(points, 4).value, 1);
  assert.equal(nearest(points, 6).value, 2);
});

test("a scale ends at a round number", () => {
  assert.deepEqual([0, 0.013, 1, 3, 7, 180].map(roundUp), [1, 0.02, 1, 5, 10, 200]);
});
