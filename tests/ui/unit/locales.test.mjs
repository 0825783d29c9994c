import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { fill } from "../../../ui/lib/fill.js";
import en from "../../../ui/locales/en.js";
import zh from "../../../ui/locales/zh.js";

const UI = fileURLToPath(new URL("../../../ui/", import.meta.url));

/** @param {string} text */
const placeholders = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test("both languages have the same keys, in the same order", () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en));
});

test("both languages fill the same placeholders", () => {
  for (const [key, text] of Object.entries(en)) {
    assert.deepEqual(placeholders(zh[/** @type {keyof typeof zh} */ (key)]), placeholders(text), key);
  }
});

test("no sentence is empty, and no Chinese one was left in English by mistake", () => {
  for (const text of [...Object.values(en), ...Object.values(zh)]) assert.notEqual(text.trim(), "");
  const same = Object.entries(en).filter(([key, text]) => zh[/** @type {keyof typeof zh} */ (key)] === text).map(([key]) => key);
  assert.deepEqual(same, ["server.id", "runtime.mcp1", "runtime.mcp2", "env.keyExample", "connection.mcp", "connection.sse"]);
});

test("every key is used, and every key that is used exists", () => {
  const source = readdirSync(UI, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".js") && !/^(vendor|node_modules|locales)/.test(file))
    .map((file) => readFileSync(path.join(UI, file), "utf8"))
    .join("\n");
  const whole = new Set([...source.matchAll(/["'`]([a-z]+(?:\.[A-Za-z_]+)+)["'`]/g)].map((match) => match[1]));
  // Such as t(`status.${status}`).
  const patterns = [...source.matchAll(/`([a-z]+(?:\.[a-z]+)*\.)\$\{[^}]*\}([.a-z]*)`/g)].map((match) => [match[1] ?? "", match[2] ?? ""]);
  const unused = Object.keys(en).filter((key) => !whole.has(key) && !patterns.some(([head = "", tail = ""]) => key.startsWith(head) && key.endsWith(tail)));
  assert.deepEqual(unused, []);
  const called = [...source.matchAll(/\bt\("([^"]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(called.length > 100);
  assert.deepEqual(called.filter((key) => !Object.hasOwn(en, key)), []);
});

test("placeholders are filled by name, and unknown ones stay", () => {
  assert.equal(fill("{n} of {all} {toString}", { n: 1, all: "$&" }), "1 of $& {toString}");
});
