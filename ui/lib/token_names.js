// Names for tokens, proposed before anybody has to think of one. EMCP has the
// last word, and proposes another where a name is taken (src/model/token.rs).

/** As long as the API takes. */
export const TOKEN_NAME_MAX = 64;

/**
 * A name that none of the known tokens has.
 * @param {string} base
 * @param {string[]} known
 */
export function freeName(base, known) {
  const taken = new Set(known.map((name) => name.toLowerCase()));
  const numbered = (/** @type {number} */ number) => {
    const end = number === 1 ? "" : ` ${number}`;
    return `${base.slice(0, TOKEN_NAME_MAX - end.length).trimEnd()}${end}`;
  };
  let number = 1;
  while (taken.has(numbered(number).toLowerCase())) number += 1;
  return numbered(number);
}
