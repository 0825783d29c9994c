import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { codeProblem, envKeyProblem, isEntryObject, nameFromFile, nameProblem } from "../../../ui/lib/rules.js";

const RUST = readFileSync(new URL("../../../src/model/name.rs", import.meta.url), "utf8");

test("good names are taken", () => {
  for (const good of ["a", "7", "demo", "my-server-2", "x".repeat(40)]) assert.equal(nameProblem(good), null, good);
});

test("bad names are refused as the API refuses them", () => {
  assert.equal(nameProblem(""), "empty");
  assert.equal(nameProblem("x".repeat(41)), "long");
  for (const bad of ["-a", "a-", "a--b", "A", "a_b", "a.b", "a b", "é", "../x", "a\n", "a\0b"]) assert.equal(nameProblem(bad), "characters", bad);
});

test("the reserved words are those of the API", () => {
  const list = /RESERVED_NAMES[^=]*=\s*&\[([^\]]*)\]/.exec(RUST)?.[1] ?? "";
  const words = [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(words.length > 10);
  for (const word of words) assert.equal(nameProblem(word), "reserved", word);
});

test("entry objects are Python identifiers", () => {
  for (const good of ["mcp", "_app2", "服务"]) assert.ok(isEntryObject(good), good);
  for (const bad of ["", "2a", "a.b", "a b", "a;b", "x".repeat(65)]) assert.ok(!isEntryObject(bad), bad);
});

test("keys of variables are checked", () => {
  assert.equal(envKeyProblem("A_1"), null);
  for (const bad of ["", "1A", "A=B", "A-B", "A B"]) assert.equal(envKeyProblem(bad), "characters", bad);
  for (const bad of ["EMCP_X", "emcp_x", "LD_PRELOAD"]) assert.equal(envKeyProblem(bad), "reserved", bad);
});

test("a file's name gives a good name or none", () => {
  assert.equal(nameFromFile("My Tools_v2.py"), "my-tools-v2");
  assert.equal(nameFromFile("工具.py"), "");
  assert.equal(nameProblem(nameFromFile(`${"ab-".repeat(30)}.py`)), null);
});

test("code is measured in bytes", () => {
  assert.equal(codeProblem("x".repeat(1024 * 1024)), null);
  assert.equal(codeProblem("x".repeat(1024 * 1024 + 1)), "large");
  assert.equal(codeProblem("字".repeat(1024 * 512)), "large");
});
