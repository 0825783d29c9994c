// The text of a Python file. One may declare another encoding than UTF-8 in its
// first two lines (PEP 263); EMCP keeps the text in the encoding that it declares
// (src/model/source.rs, which has the last word). Pure.

const COOKIE = /^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)/;
const BLANK = /^[ \t\f]*(?:[#\r]|$)/;

/** Python's names for encodings that browsers call otherwise. */
const LABELS = new Map([
  ["cp936", "gbk"],
  ["936", "gbk"],
  ["ms936", "gbk"],
  ["euc-cn", "gbk"],
  ["euccn", "gbk"],
  ["gb18030-2000", "gb18030"],
  ["cp950", "big5"],
  ["950", "big5"],
  ["big5hkscs", "big5"],
  ["cp932", "shift_jis"],
  ["932", "shift_jis"],
  ["shiftjis", "shift_jis"],
  ["eucjp", "euc-jp"],
  ["ujis", "euc-jp"],
  ["cp949", "euc-kr"],
  ["949", "euc-kr"],
  ["uhc", "euc-kr"],
  ["euckr", "euc-kr"],
  ["utf", "utf-8"],
  ["u8", "utf-8"],
  ["cp65001", "utf-8"],
]);
const LATIN1 = new Set(["latin-1", "latin1", "latin", "l1", "iso-8859-1", "iso8859-1", "iso-latin-1", "cp819"]);

/**
 * The text of a file, or null if it is none in the encoding that it declares.
 * @param {ArrayBuffer} bytes
 * @returns {string | null}
 */
export function sourceText(bytes) {
  const name = declaredEncoding(bytes);
  // Browsers take another encoding for it, which differs in 27 characters.
  if (LATIN1.has(name)) return Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  try {
    return new TextDecoder(LABELS.get(name) ?? name, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** @param {ArrayBuffer} bytes */
function declaredEncoding(bytes) {
  // Whatever the encoding, what declares it is ASCII.
  const head = String.fromCharCode(...new Uint8Array(bytes.slice(0, 1024)).subarray(0, 1024));
  const [first = "", second = ""] = head.replace(/^\xef\xbb\xbf/, "").split("\n");
  const found = COOKIE.exec(first) ?? (BLANK.test(first) ? COOKIE.exec(second) : null);
  return (found?.[1] ?? "utf-8").toLowerCase().replaceAll("_", "-");
}
