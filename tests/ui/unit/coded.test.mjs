import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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

test("no code has words in two places, and none is left empty", () => {
  assert.deepEqual(Object.keys(codes).filter((key) => Object.hasOwn(en, key)), []);
  for (const words of Object.values(codes)) assert.match(words, /\p{Script=Han}/u);
});
