import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnsi, PLAIN, stripAnsi, withMatches } from "../../../ui/lib/ansi.js";

const ESC = "\u001b";

test("plain text is one segment without style", () => {
  assert.deepEqual(parseAnsi("a <b>line</b>"), [{ text: "a <b>line</b>", style: PLAIN }]);
  assert.deepEqual(parseAnsi(""), []);
});

test("colours and attributes begin and end where the codes say", () => {
  const segments = parseAnsi(`a${ESC}[1;31mb${ESC}[39mc${ESC}[md`);
  assert.deepEqual(segments.map(({ text }) => text), ["a", "b", "c", "d"]);
  assert.deepEqual(segments[1]?.style, { ...PLAIN, bold: true, fg: 1 });
  assert.deepEqual(segments[2]?.style, { ...PLAIN, bold: true });
  assert.deepEqual(segments[3]?.style, PLAIN);
});

test("bright, indexed and true colours are understood", () => {
  const fg = (/** @type {string} */ codes) => parseAnsi(`${ESC}[${codes}mx`)[0]?.style.fg;
  assert.equal(fg("97"), 15);
  assert.equal(fg("38;5;9"), 9);
  assert.equal(fg("38;5;196"), "rgb(255 0 0)");
  assert.equal(fg("38;5;232"), "rgb(8 8 8)");
  assert.equal(fg("38;2;1;2;3"), "rgb(1 2 3)");
  assert.equal(fg("38;2;999;2;3"), "rgb(255 2 3)");
  assert.equal(parseAnsi(`${ESC}[48;5;4;1mx`)[0]?.style.bg, 4);
  assert.equal(parseAnsi(`${ESC}[48;5;4;1mx`)[0]?.style.bold, true);
});

test("other sequences and control characters show nothing", () => {
  assert.equal(stripAnsi(`${ESC}[2K${ESC}]0;title\u0007a${ESC}]8;;http://x${ESC}\\b${ESC}(Bc\u0000\u0007`), "abc");
  assert.equal(stripAnsi(`${ESC}]never ends`), "");
  assert.equal(stripAnsi(`cut off ${ESC}[3`), "cut off ");
  assert.equal(stripAnsi("a\tb"), "a\tb");
});

test("of a line written over itself the last writing is shown", () => {
  assert.equal(stripAnsi(" 10%\r 50%\r100%\r"), "100%");
});

test("a long line of half sequences takes no long time", () => {
  const started = performance.now();
  stripAnsi(`${ESC}]${ESC}[;`.repeat(100_000));
  assert.ok(performance.now() - started < 1_000);
});

test("what is searched for is found across colours, and cut where it begins and ends", () => {
  const cut = withMatches(parseAnsi(`one ${ESC}[31mTwo${ESC}[0m three two`), "e two");
  assert.deepEqual(
    cut.map(({ text, isMatch }) => (isMatch ? `[${text}]` : text)),
    ["on", "[e ]", "[Two]", " thre", "[e two]"],
  );
  assert.equal(cut[2]?.style.fg, 1);
  assert.deepEqual(withMatches(parseAnsi("aaa"), "a").map(({ isMatch }) => isMatch), [true, true, true]);
  assert.deepEqual(withMatches(parseAnsi("abc"), "").map(({ text }) => text), ["abc"]);
  assert.deepEqual(withMatches(parseAnsi("abc"), "x").map(({ isMatch }) => isMatch), [false]);
});
