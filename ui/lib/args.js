// The arguments of a server's file, as a form has them: one a line. Pure.

const ARGS_MAX = 100;
const ARGS_MAX_BYTES = 16 * 1024;

/** @param {string[] | undefined} args */
export function argsText(args) {
  return (args ?? []).join("\n");
}

/**
 * Blank lines and spaces at the ends of a line are left out.
 * @param {string} text
 */
export function argsOf(text) {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * Whether lines can hold them all: the API takes empty ones too, and some with
 * line breaks, which the form must not change in silence.
 * @param {string[] | undefined} args
 */
export function fitLines(args) {
  return JSON.stringify(argsOf(argsText(args))) === JSON.stringify(args ?? []);
}

/**
 * What is wrong with them, or null (src/model/args.rs).
 * @param {string} text
 * @returns {"many" | "long" | null}
 */
export function argsProblem(text) {
  const args = argsOf(text);
  if (args.length > ARGS_MAX) return "many";
  return new TextEncoder().encode(args.join("")).length > ARGS_MAX_BYTES ? "long" : null;
}
