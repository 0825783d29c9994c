import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

for (const folder of ["ui", "tests/ui"]) {
  const read = (/** @type {string} */ file) => JSON.parse(readFileSync(new URL(`../../../${folder}/${file}`, import.meta.url), "utf8"));

  test(`${folder} names exact versions and no registry`, () => {
    const { dependencies = {}, devDependencies = {} } = read("package.json");
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) assert.match(String(version), /^\d+\.\d+\.\d+$/, name);
    for (const [name, entry] of Object.entries(read("package-lock.json").packages)) assert.equal(entry.resolved, undefined, name);
  });
}
