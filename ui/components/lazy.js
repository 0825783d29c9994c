// Parts of the dashboard that come when they are first shown, so that the
// first page is there sooner.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ApiError } from "../lib/api.js";
import { addWords } from "../lib/i18n.js";
import { Failure, Loading } from "./controls.js";

/**
 * @template P
 * @param {() => Promise<(props: P) => unknown>} load
 * @param {{ words: import("../lib/i18n.js").Part[], styles: string[] }} needs what the first page does without
 * @returns {(props: P) => unknown}
 */
export function lazy(load, { words, styles }) {
  /** @type {((props: P) => unknown) | null} */
  let loaded = null;
  return function Lazy(props) {
    const [error, setError] = useState(/** @type {ApiError | null} */ (null));
    const [, redraw] = useState(0);
    useEffect(() => {
      if (loaded) return;
      Promise.all([load(), addWords(words), ...styles.map(loadStyle)]).then(
        ([component]) => {
          loaded = component;
          redraw(1);
        },
        (problem) => setError(new ApiError(0, "no_answer", String(problem))),
      );
    }, []);
    if (loaded) return html`<${loaded} ...${props} />`;
    // Browsers may remember that a module failed, until the page is loaded anew.
    return error ? html`<${Failure} error=${error} onRetry=${() => location.reload()} />` : html`<${Loading} />`;
  };
}

/** @type {Map<string, Promise<void>>} */
const loadedStyles = new Map();

/**
 * A style sheet, once: a page is not shown without it.
 * @param {string} name
 */
function loadStyle(name) {
  const known = loadedStyles.get(name);
  if (known) return known;
  const loading = new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `/styles/${name}.css` });
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => reject(new Error(`${name}.css did not arrive`)));
    document.head.append(link);
  });
  loadedStyles.set(name, loading);
  return loading;
}
