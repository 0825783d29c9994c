// Reads a pasted .env file the way the common tools do: `KEY=value`, comments,
// `export`, single quotes (taken as they are), double quotes (with \n, \t, \"
// and \\, and over several lines).

/** @typedef {{ key: string, value: string }} Pair */

const KEY = /^[ \t]*(?:export[ \t]+)?([^\s=#]+)[ \t]*=[ \t]*/;
const ESCAPES = /** @type {Record<string, string>} */ ({ n: "\n", r: "\r", t: "\t" });

/**
 * @param {string} text
 * @returns {{ pairs: Pair[], badLines: number[] }} a later line with the same key wins
 */
export function parseDotEnv(text) {
  const source = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  /** @type {Map<string, string>} */
  const found = new Map();
  const badLines = [];
  let at = 0;
  let line = 1;
  while (at < source.length) {
    const end = endOfLine(source, at);
    const content = source.slice(at, end);
    if (/^[ \t]*(#|$)/.test(content)) {
      at = end + 1;
      line += 1;
      continue;
    }
    const match = KEY.exec(content);
    const taken = match && takeValue(source, at + match[0].length);
    if (!match?.[1] || !taken) {
      badLines.push(line);
      at = end + 1;
      line += 1;
      continue;
    }
    found.set(match[1], taken.value);
    line += source.slice(at, taken.end).split("\n").length;
    at = taken.end + 1;
  }
  return { pairs: [...found].map(([key, value]) => ({ key, value })), badLines };
}

/**
 * Whether a variable's name sounds like a secret's.
 * @param {string} key
 */
export function looksSecret(key) {
  return /(SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_KEY$|_PWD$|DSN$)/i.test(key);
}

/**
 * The value that begins at `start`, and where its line ends.
 * @param {string} source
 * @param {number} start
 * @returns {{ value: string, end: number } | null}
 */
function takeValue(source, start) {
  const quote = source[start];
  if (quote !== '"' && quote !== "'") {
    const end = endOfLine(source, start);
    return { value: source.slice(start, end).replace(/(^|\s)#.*$/, "").trim(), end };
  }
  let value = "";
  for (let at = start + 1; at < source.length; at += 1) {
    const char = source.charAt(at);
    if (char === quote) {
      const end = endOfLine(source, at);
      // Only a comment may follow the closing quote.
      return /^\s*(#.*)?$/.test(source.slice(at + 1, end)) ? { value, end } : null;
    }
    if (char === "\\" && quote === '"') {
      at += 1;
      const escaped = source.charAt(at);
      value += ESCAPES[escaped] ?? ('"\\$'.includes(escaped) ? escaped : `\\${escaped}`);
    } else {
      value += char;
    }
  }
  return null;
}

/**
 * @param {string} source
 * @param {number} from
 */
function endOfLine(source, from) {
  const end = source.indexOf("\n", from);
  return end < 0 ? source.length : end;
}
