import assert from "node:assert/strict";
import { test } from "node:test";
import { sleepDraft, sleepOf, sleepProblem } from "../../../ui/lib/sleep.js";

test("what the API has becomes minutes and the same again", () => {
  for (const choice of /** @type {const} */ ([null, "never", { pause_after_secs: 600, stop_after_secs: 7_200 }, { pause_after_secs: null, stop_after_secs: 45 }])) {
    const draft = sleepDraft(choice);
    assert.equal(sleepProblem(draft), null);
    assert.deepEqual(sleepOf(draft), choice);
  }
});

test("times are checked as the API checks them", () => {
  const problem = (/** @type {string} */ pause, /** @type {string} */ stop) => sleepProblem({ mode: "after", pause, stop });
  assert.equal(problem("", ""), "none");
  assert.equal(problem("0.05", ""), "range");
  assert.equal(problem("", "43201"), "range");
  assert.equal(problem("x", ""), "range");
  assert.equal(problem("10", "10"), "order");
  assert.equal(problem("10", "11"), null);
  assert.equal(sleepProblem({ mode: "never", pause: "x", stop: "" }), null);
});
