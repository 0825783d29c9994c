import assert from "node:assert/strict";
import { test } from "node:test";
import { beginning, visible } from "../../../ui/lib/visible.js";

test("what turns the reading direction or shows nothing is named", () => {
  assert.equal(visible("a\u202eb\u2066c\u200fd"), "a[U+202E]b[U+2066]c[U+200F]d");
  assert.equal(visible("bell\u0007 nul\u0000 esc\u001b[31m"), "bell[U+0007] nul[U+0000] esc[U+001B][31m");
  assert.equal(visible("hidden\u{e0041}\u200b"), "hidden[U+E0041][U+200B]");
});

test("joiners are named where there is nothing to join", () => {
  assert.equal(visible("ad\u200dmin\u200c"), "ad[U+200D]min[U+200C]");
  assert.equal(visible("می\u200cخواهم 👨\u200d👩\u200d👧"), "می\u200cخواهم 👨\u200d👩\u200d👧");
  assert.equal(visible("blank\u3164\u2800"), "blank[U+3164]\u2800");
});

test("ordinary text, in any script, stays as it is", () => {
  const text = "tab\tline\nמה שלום 中文 مرحبا 👩‍💻 é";
  assert.equal(visible(text), text);
});

test("a long text is cut, and no character in two", () => {
  assert.equal(beginning("abcdef", 3), "abc…");
  assert.equal(beginning("abc", 3), "abc");
  assert.equal(beginning("ab😀cd", 3), "ab…");
});
