import assert from "node:assert/strict";
import { test } from "node:test";
import { sourceText } from "../../../ui/lib/source.js";

/** @param {(string | number[])[]} parts */
function bytes(...parts) {
  const all = parts.flatMap((part) => (typeof part === "string" ? [...new TextEncoder().encode(part)] : part));
  return new Uint8Array(all).buffer;
}

const HELLO_GBK = [0xc4, 0xe3, 0xba, 0xc3];

test("a declared encoding is read, wherever Python looks for it", () => {
  for (const head of ["# -*- coding: gbk -*-", "#coding=GBK", "# coding: cp936", "#!/usr/bin/python\n# coding: gb2312"]) {
    assert.equal(sourceText(bytes(`${head}\nx = '`, HELLO_GBK, "'\n")), `${head}\nx = '你好'\n`);
  }
  assert.equal(sourceText(bytes("# coding: latin-1\n", [0xe9, 0x80])), "# coding: latin-1\né\u0080");
});

test("what is no text in UTF-8 and declares nothing, or something else, is none", () => {
  for (const head of ["x = 1", "x = 1 # coding: gbk", "import os\n# coding: gbk", "# coding: klingon", "# coding: utf-8"]) {
    assert.equal(sourceText(bytes(`${head}\n`, HELLO_GBK)), null, head);
  }
});

test("a byte order mark is no part of the text", () => {
  assert.equal(sourceText(bytes([0xef, 0xbb, 0xbf], "x = '你'\n")), "x = '你'\n");
});
