import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { argsOf, argsProblem, argsText, fitLines } from "../../../ui/lib/args.js";

const RUST = readFileSync(new URL("../../../src/model/args.rs", import.meta.url), "utf8");

test("arguments are lines, without blank ones and spaces around", () => {
  assert.deepEqual(argsOf("--rows\r\n  2 \n\n/data/a b.db"), ["--rows", "2", "/data/a b.db"]);
  assert.deepEqual(argsOf(""), []);
  assert.deepEqual(argsOf(argsText(["--rows", "2"])), ["--rows", "2"]);
});

test("arguments that lines cannot hold are known", () => {
  for (const good of [undefined, [], ["--rows", "2"], ["a b"]]) assert.ok(fitLines(good), JSON.stringify(good));
  for (const bad of [[""], ["a\nb"], [" a"], ["a", ""]]) assert.ok(!fitLines(bad), JSON.stringify(bad));
});

test("the bounds are those of the API", () => {
  assert.match(RUST, /ARGS_MAX: usize = 100;/);
  assert.match(RUST, /ARGS_MAX_BYTES: usize = 16 \* 1024;/);
  assert.equal(argsProblem("x\n".repeat(100)), null);
  assert.equal(argsProblem("x\n".repeat(101)), "many");
  assert.equal(argsProblem("x".repeat(16 * 1024)), null);
  assert.equal(argsProblem("é".repeat(8 * 1024) + "x"), "long");
});
