import assert from "node:assert/strict";
import { test } from "node:test";
import { changedFields, changedKeys, mergedFields, mergedVars } from "../../../ui/lib/merge.js";
import { memberProblem } from "../../../ui/lib/rules.js";
import { freeName } from "../../../ui/lib/token_names.js";

test("a form keeps what was changed in it, and takes over what was not", () => {
  const before = { description: "a", limits: { cpus: "1" }, egress: "open" };
  const mine = { ...before, description: "mine" };
  const theirs = { ...before, description: "theirs", limits: { cpus: "2" } };
  assert.deepEqual(changedFields(before, mine), ["description"]);
  assert.deepEqual(mergedFields(before, mine, theirs), { ...theirs, description: "mine" });
});

test("variables are merged one by one", () => {
  const plain = (/** @type {string} */ key, /** @type {string} */ value) => ({ key, value, is_secret: false });
  const kept = { key: "S", is_secret: true };
  const before = [plain("A", "1"), plain("B", "1"), plain("C", "1"), kept];
  const mine = [plain("A", "mine"), plain("B", "1"), kept, plain("MINE", "1")];
  const theirs = [plain("A", "theirs"), plain("B", "theirs"), plain("C", "1"), kept, plain("THEIRS", "1")];
  assert.deepEqual(changedKeys(before, mine), ["A", "C", "MINE"]);
  assert.deepEqual(mergedVars(before, mine, theirs), [plain("A", "mine"), plain("B", "theirs"), kept, plain("THEIRS", "1"), plain("MINE", "1")]);
  // What both removed is gone; what they removed and was changed here is not.
  assert.deepEqual(mergedVars(before, mine, [kept]), [kept, plain("A", "mine"), plain("MINE", "1")]);
});

test("a free name is proposed, as long as it may be", () => {
  assert.equal(freeName("connect demo", []), "connect demo");
  assert.equal(freeName("connect demo", ["Connect Demo", "connect demo 2"]), "connect demo 3");
  const long = "x".repeat(70);
  assert.equal(freeName(long, [long.slice(0, 64)]), `${"x".repeat(62)} 2`);
});

test("who cannot be a member is told why", () => {
  const problem = (/** @type {string} */ name, members = ["grace"]) => memberProblem(name, members, "ada");
  assert.equal(problem("bob"), null);
  assert.equal(problem("Grace Hopper"), null);
  assert.equal(problem("ada"), "creator");
  assert.equal(problem("grace"), "twice");
  for (const bad of ["", "gräce", "a\nb", "x".repeat(65)]) assert.equal(problem(bad), "characters", bad);
  assert.equal(problem("x", Array.from({ length: 100 }, (_, index) => `m${index}`)), "many");
});
