// Parts of the dashboard that come when they are first shown, so that the
// first page is there sooner.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ApiError } from "../lib/api.js";
import { Failure, Loading } from "./controls.js";

/**
 * @template P
 * @param {() => Promise<(props: P) => unknown>} load
 * @returns {(props: P) => unknown}
 */
export function lazy(load) {
  /** @type {((props: P) => unknown) | null} */
  let loaded = null;
  return function Lazy(props) {
    const [error, setError] = useState(/** @type {ApiError | null} */ (null));
    const [, redraw] = useState(0);
    useEffect(() => {
      if (loaded) return;
      load().then(
        (component) => {
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
