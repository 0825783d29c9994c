// Text that somebody else wrote, made safe to look at: what would turn the
// reading direction around, or shows nothing at all, is named instead.

// Bidirectional controls (UAX 9 §2), zero-width characters and fillers, C0 and
// C1 controls but tab and line feed, and tags and further variation selectors
// (U+E0000 and on), which hide whole texts. The joiners U+200C and U+200D stay
// where they have a use: behind a letter of a script that is joined, and in
// pictures made of several.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|(?<![\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])[\u200c\u200d]/gu;

/**
 * @param {string} text
 * @returns {string} the same, with `[U+202E]` in place of such a character
 */
export function visible(text) {
  return text.replace(UNSEEN, (char) => `[U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

/**
 * The beginning of a text, for places that show a line or two of it.
 * @param {string} text
 * @param {number} max
 */
export function beginning(text, max) {
  if (text.length <= max) return visible(text);
  // A pair of surrogates is not cut in two.
  const end = /[\ud800-\udbff]/.test(text.charAt(max - 1)) ? max - 1 : max;
  return `${visible(text.slice(0, end))}…`;
}
