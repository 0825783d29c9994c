// Terminal colours in a line of output. The result is text with the name of a
// style; it never becomes HTML.

/**
 * @typedef {object} Style
 * @property {number | string | null} fg one of the 16 colours, or "rgb(…)"
 * @property {number | string | null} bg
 * @property {boolean} bold
 * @property {boolean} dim
 * @property {boolean} italic
 * @property {boolean} underline
 * @property {boolean} inverse
 *
 * @typedef {{ text: string, style: Style }} Segment
 */

/** @type {Readonly<Style>} */
export const PLAIN = Object.freeze({ fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, inverse: false });

// ECMA-48: control sequences (§5.4), and strings such as titles and links,
// which end with BEL or ST (§5.6). Anything else with ESC is two characters.
const SEQUENCE = /\u001b\[([0-?]*)[ -/]*([@-~])?|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|\u001b[ -/]*[0-~]?/g;
// Without any of these a line is its own text.
const HAS_CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/;
// Control characters that are left show nothing; a tab does.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * @param {string} line
 * @returns {Segment[]}
 */
export function parseAnsi(line) {
  const shown = lastOverwrite(line);
  /** @type {Segment[]} */
  const segments = [];
  let style = PLAIN;
  let from = 0;
  const push = (/** @type {string} */ raw) => {
    const text = raw.replace(CONTROLS, "");
    if (text) segments.push({ text, style });
  };
  for (const match of shown.matchAll(SEQUENCE)) {
    push(shown.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = applied(style, match[1] ?? "");
  }
  push(shown.slice(from));
  return segments;
}

/**
 * The text alone, as a search sees it.
 * @param {string} line
 */
export function stripAnsi(line) {
  if (!HAS_CONTROLS.test(line)) return line;
  return lastOverwrite(line).replace(SEQUENCE, "").replace(CONTROLS, "");
}

/**
 * The segments, cut where what is searched for begins and ends.
 * @param {Segment[]} segments
 * @param {string} words
 * @returns {(Segment & { isMatch: boolean })[]}
 */
export function withMatches(segments, words) {
  if (words === "") return segments.map((segment) => ({ ...segment, isMatch: false }));
  const searched = segments.map(({ text }) => text).join("").toLowerCase();
  const wanted = words.toLowerCase();
  /** @type {(Segment & { isMatch: boolean })[]} */
  const cut = [];
  let from = 0;
  let match = searched.indexOf(wanted);
  for (const { text, style } of segments) {
    const end = from + text.length;
    let at = from;
    while (at < end) {
      while (match >= 0 && match + wanted.length <= at) match = searched.indexOf(wanted, match + wanted.length);
      const isMatch = match >= 0 && match <= at;
      const to = match < 0 ? end : Math.min(end, isMatch ? match + wanted.length : match);
      cut.push({ text: text.slice(at - from, to - from), style, isMatch });
      at = to;
    }
    from = end;
  }
  return cut;
}

/**
 * A progress bar writes its line again and again after a carriage return; what
 * was written last is what a terminal shows.
 * @param {string} line
 */
function lastOverwrite(line) {
  const trimmed = line.replace(/\r+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("\r") + 1);
}

/**
 * A style after SGR parameters (ECMA-48 §8.3.117; colours 38 and 48 as in
 * ISO 8613-6, with semicolons or colons).
 * @param {Style} before
 * @param {string} parameters
 * @returns {Style}
 */
function applied(before, parameters) {
  const codes = parameters.split(/[;:]/).map((part) => Number(part) || 0);
  let style = { ...before };
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) style = { ...PLAIN };
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code === 39) style.fg = null;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code === 49) style.bg = null;
    else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
    else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
    else if (code === 38 || code === 48) {
      const { color, used } = extended(codes.slice(at + 1));
      if (color !== null) style[code === 38 ? "fg" : "bg"] = color;
      at += used;
    }
  }
  return style;
}

/**
 * @param {number[]} codes what follows 38 or 48
 * @returns {{ color: number | string | null, used: number }}
 */
function extended(codes) {
  const [kind, first = 0, second = 0, third = 0] = codes;
  const byte = (/** @type {number} */ value) => Math.min(255, Math.max(0, value));
  if (kind === 5) return { color: indexed(byte(first)), used: 2 };
  if (kind === 2) return { color: `rgb(${byte(first)} ${byte(second)} ${byte(third)})`, used: 4 };
  return { color: null, used: codes.length };
}

/**
 * One of xterm's 256 colours: 16 named, a cube of 216, 24 greys.
 * @param {number} index
 */
function indexed(index) {
  if (index < 16) return index;
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (/** @type {number} */ value) => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}
