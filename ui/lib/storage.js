// Choices kept in the browser. Storage may be full or forbidden: then a choice
// lasts as long as the page.

/** @param {string} key */
export function recall(key) {
  try {
    return localStorage.getItem(`emcp.${key}`);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(`emcp.${key}`, value);
  } catch {
    // See above.
  }
}
