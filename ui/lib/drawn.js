// Everything the pages draw goes through here: no text of a server, a person or
// an address gets by unseen, whichever component shows it.

import { options } from "../vendor/preact.js";
import { visible } from "./visible.js";

/** Attributes that are read, by eye or aloud. */
const READ = ["title", "aria-label", "alt", "placeholder", "label"];

/** Called once, before anything is drawn. */
export function startDrawing() {
  const before = options.vnode;
  options.vnode = (/** @type {any} */ vnode) => {
    const { type, props } = vnode;
    if (type === null) {
      // A piece of text; a number has nothing to hide.
      if (typeof props === "string") vnode.props = visible(props);
    } else if (typeof type === "string") {
      for (const name of READ) if (typeof props[name] === "string") props[name] = visible(props[name]);
    }
    before?.(vnode);
  };
}
