import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import en from "../../../ui/locales/en.js";
import codes from "../../../ui/locales/codes.zh.js";

test("every error code in the API's description has Chinese words", () => {
  const page = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const [, table = ""] = page.split("| status | codes |");
  const documented = [...table.matchAll(/`([a-z_]+)`/g)].map(([, code = ""]) => `error.${code}`);
  assert.ok(documented.length > 40);
  assert.deepEqual(documented.filter((key) => !Object.hasOwn(codes, key) && !Object.hasOwn(en, key)), []);
});

test("every template has a Chinese title and description", () => {
  const examples = readdirSync(new URL("../../../examples/", import.meta.url)).filter((file) => file.endsWith(".py"));
  const keys = examples.map((file) => `template.${file.replace(/\.py$/, "")}`).flatMap((key) => [key, `${key}.about`]);
  assert.deepEqual(keys.filter((key) => !Object.hasOwn(codes, key)), []);
});

test("no code has words in two places, and none is left empty", () => {
  assert.deepEqual(Object.keys(codes).filter((key) => Object.hasOwn(en, key)), []);
  for (const words of Object.values(codes)) assert.match(words, /\p{Script=Han}/u);
});
