// Parts of the dashboard that come when they are first shown, so that the
// first page is there sooner.

import { html, useEffect, useState } from "../vendor/preact.js";
import { addWords, t } from "../lib/i18n.js";
import { freshness } from "../lib/live.js";
import { Loading } from "./controls.js";
import { Icon } from "./icon.js";

/** Where EMCP answers and a part still does not come, more tries do not help. */
const TRIES_MAX = 4;
const AGAIN_MS = 1_000;

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
    const [error, setError] = useState(/** @type {unknown} */ (null));
    const [tries, setTries] = useState(1);
    const [, redraw] = useState(0);
    const isThere = freshness.value === "live";
    useEffect(() => {
      if (loaded) return;
      Promise.all([load(), addWords(words), ...styles.map(loadStyle)]).then(
        ([component]) => {
          loaded = component;
          redraw(1);
        },
        (problem) => {
          console.error(problem);
          setError(problem);
        },
      );
    }, [tries]);
    useEffect(() => {
      if (loaded || !error || !isThere || tries >= TRIES_MAX) return undefined;
      const timer = setTimeout(() => setTries(tries + 1), AGAIN_MS);
      return () => clearTimeout(timer);
    }, [error, isThere]);
    if (loaded) return html`<${loaded} ...${props} />`;
    return error ? html`<${NotLoaded} error=${error} />` : html`<${Loading} />`;
  };
}

/**
 * A part that did not come, or cannot be drawn. Browsers may remember that a
 * module failed, until the page is loaded anew.
 * @param {{ error: unknown }} props
 */
export function NotLoaded({ error }) {
  return html`<div class="notice bad" role="alert">
    <${Icon} name="error" />
    <p>${t("page.notLoaded")} <span class="hint" dir="auto">${String(error)}</span></p>
    <button type="button" class="button small" onClick=${() => location.reload()}>${t("page.reload")}</button>
  </div>`;
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
    link.addEventListener("error", () => {
      loadedStyles.delete(name);
      link.remove();
      reject(new Error(`${name}.css did not arrive`));
    });
    document.head.append(link);
  });
  loadedStyles.set(name, loading);
  return loading;
}
