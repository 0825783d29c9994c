import assert from "node:assert/strict";
import { test } from "node:test";
import { looksSecret, parseDotEnv } from "../../../ui/lib/dotenv.js";

/** @param {string} text */
const read = (text) => Object.fromEntries(parseDotEnv(text).pairs.map(({ key, value }) => [key, value]));

test("plain lines, comments, blanks and export are read", () => {
  assert.deepEqual(read("# head\n\nA=1\nexport B = two words  # why\r\nC=\nD=a#b\nE= # only a comment\n"), { A: "1", B: "two words", C: "", D: "a#b", E: "" });
});

test("quotes keep what is in them", () => {
  assert.deepEqual(read(`A='a # b'\nB="x\\ty\\n\\"z\\" \\\\ \\d" # c\nC="two\nlines"\nD=''`), { A: "a # b", B: 'x\ty\n"z" \\ \\d', C: "two\nlines", D: "" });
});

test("values may hold equals signs, and the last of a key wins", () => {
  assert.deepEqual(read("A=b=c==\nA=2"), { A: "2" });
  assert.deepEqual(read("\uFEFFA=b=c=="), { A: "b=c==" });
});

test("bad lines are named and the others are read", () => {
  const { pairs, badLines } = parseDotEnv('A=1\nnonsense\n=x\nB="open\nC=3');
  assert.deepEqual(badLines, [2, 3, 4]);
  assert.deepEqual(pairs, [{ key: "A", value: "1" }, { key: "C", value: "3" }]);
});

test("lines behind a value over several lines are counted right", () => {
  assert.deepEqual(parseDotEnv('A="1\n2\n3"\nbad').badLines, [4]);
});

test("names of secrets are known by their sound", () => {
  for (const key of ["API_KEY", "apikey", "DB_PASSWORD", "SIGNING_SECRET", "GITHUB_TOKEN", "SENTRY_DSN"]) assert.ok(looksSecret(key), key);
  for (const key of ["BASE_URL", "DEBUG", "KEYBOARD", "MONKEY"]) assert.ok(!looksSecret(key), key);
});
