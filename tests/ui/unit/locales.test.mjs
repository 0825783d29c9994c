import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import path from "node:path";
import { fill } from "../../../ui/lib/fill.js";
import { comesWith, partsOf, sourceOf, together, UI, usedIn } from "../support/words.mjs";

const english = await partsOf("en");
const chinese = await partsOf("zh");
const en = together(english);
const zh = together(chinese);

/** @param {string} text */
const placeholders = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test("both languages have the same parts with the same keys, in the same order", () => {
  assert.deepEqual([...chinese.keys()], [...english.keys()]);
  for (const [part, words] of english) assert.deepEqual(Object.keys(chinese.get(part) ?? {}), Object.keys(words), part);
});

test("no key is in two parts", () => {
  const all = [...english.values()].flatMap((words) => Object.keys(words));
  assert.deepEqual(all.filter((key, place) => all.indexOf(key) !== place), []);
});

test("both languages fill the same placeholders", () => {
  for (const [key, text] of Object.entries(en)) assert.deepEqual(placeholders(zh[key] ?? ""), placeholders(text), key);
});

test("no sentence is empty, and no Chinese one was left in English by mistake", () => {
  for (const text of [...Object.values(en), ...Object.values(zh)]) assert.notEqual(text.trim(), "");
  const same = Object.entries(en).filter(([key, text]) => zh[key] === text).map(([key]) => key);
  assert.deepEqual(same.sort(), ["connection.mcp", "connection.sse", "env.keyExample", "runtime.mcp1", "runtime.mcp2", "server.id"]);
});

test("every key is used, and every key that is used exists", () => {
  const source = readdirSync(UI, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".js") && !/^(vendor|node_modules|locales)/.test(file))
    .map(sourceOf)
    .join("\n");
  const keys = Object.keys(en);
  const used = new Set(usedIn(source, keys));
  assert.deepEqual(keys.filter((key) => !used.has(key)), []);
  const called = [...source.matchAll(/\bt\("([^"]+)"/g)].map(([, key = ""]) => key);
  assert.ok(called.length > 100);
  assert.deepEqual(called.filter((key) => !Object.hasOwn(en, key)), []);
});

test("every page brings the words that it uses, and none that it does not", () => {
  const first = { name: "main.js", files: comesWith("main.js"), brings: ["first"], has: ["first"] };
  const pages = [first, ...loadedLater("app.js", first.files, first.has)];
  assert.ok(pages.length > 6);
  for (const { name, files, brings, has } of pages) {
    const source = [...files].map(sourceOf).join("\n");
    const used = [...english].filter(([, words]) => usedIn(source, Object.keys(words)).length > 0).map(([part]) => part);
    assert.deepEqual(used.filter((part) => !has.includes(part)), [], `${name} lacks words`);
    assert.deepEqual(brings.filter((part) => !used.includes(part)), [], `${name} does not need all that it brings`);
  }
});

/**
 * The pages that `lazy` in a file brings, and `lazy` in those: the files that
 * come with them, the parts they ask for, and all they have then.
 * @param {string} file
 * @param {Set<string>} loaded
 * @param {string[]} known
 * @returns {{ name: string, files: Set<string>, brings: string[], has: string[] }[]}
 */
function loadedLater(file, loaded, known) {
  const calls = [...sourceOf(file).matchAll(/\blazy\(.*?import\("([^"]+)"\).*?words: \[([^\]]*)\]/g)];
  return calls.flatMap(([, target = "", listed = ""]) => {
    const name = path.join(path.dirname(file), target);
    const files = new Set([...comesWith(name)].filter((one) => !loaded.has(one)));
    const brings = [...listed.matchAll(/"(\w+)"/g)].map(([, part = ""]) => part);
    const has = [...known, ...brings];
    return [{ name, files, brings, has }, ...loadedLater(name, new Set([...loaded, ...files]), has)];
  });
}

test("placeholders are filled by name, and unknown ones stay", () => {
  assert.equal(fill("{n} of {all} {toString}", { n: 1, all: "$&" }), "1 of $& {toString}");
});
