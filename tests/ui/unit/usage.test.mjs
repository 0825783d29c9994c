import assert from "node:assert/strict";
import { test } from "node:test";
import { shareOf } from "../../../ui/lib/usage.js";

test("a share is of what is allowed, and never more than all of it", () => {
  assert.deepEqual(shareOf(1, 50), { percent: 2, level: "fine" });
  assert.deepEqual(shareOf(45, 50), { percent: 90, level: "nearly" });
  assert.deepEqual(shareOf(50, 50), { percent: 100, level: "full" });
  // The limit was lowered since.
  assert.deepEqual(shareOf(60, 50), { percent: 100, level: "full" });
});

test("where nothing is allowed nothing is left, and without a limit there is no share", () => {
  assert.deepEqual(shareOf(0, 0), { percent: 100, level: "full" });
  assert.equal(shareOf(7, null), null);
});
