import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { STORAGE_MAX_MIB, STORAGE_MIN_MIB, storageDraft, storageOf, storageProblem } from "../../../ui/lib/kept.js";

const MIB = 1024 * 1024;
const RUST = readFileSync(new URL("../../../src/model/storage.rs", import.meta.url), "utf8");

test("storage is written in MiB and kept to the byte", () => {
  assert.equal(storageOf(""), null);
  assert.deepEqual(storageOf("64"), { size_bytes: 64 * MIB });
  assert.equal(storageDraft(null), "");
  for (const storage of [{ size_bytes: 64 * MIB }, { size_bytes: 20_000_001 }]) {
    assert.deepEqual(storageOf(storageDraft(storage)), storage);
  }
});

test("storage may come and grow within its bounds, and never shrinks", () => {
  assert.equal(storageProblem(""), null);
  assert.equal(storageProblem("64"), null);
  for (const bad of ["15", "0", "-1", "1048577", "x"]) assert.equal(storageProblem(bad), "range", bad);
  const has = { size_bytes: 64 * MIB };
  assert.equal(storageProblem("64", has), null);
  assert.equal(storageProblem("65", has), null);
  assert.equal(storageProblem("63", has), "shrinks");
  assert.equal(storageProblem("", has), "shrinks");
});

test("the bounds are those of the API", () => {
  assert.match(RUST, new RegExp(`LOWEST_BYTES: u64 = ${STORAGE_MIN_MIB} \\* 1024 \\* 1024;`));
  assert.match(RUST, new RegExp(`HIGHEST_BYTES: u64 = ${STORAGE_MAX_MIB / 1024} \\* 1024 \\* 1024 \\* 1024;`));
});
