// Text that people and servers wrote: never markup, isolated from the text
// around it, and no longer than the place for it.

import { html } from "../vendor/preact.js";
import { beginning } from "../lib/visible.js";

/** More than anybody reads in a list; the page of the server has the rest. */
const MAX_CHARS = 2_000;

/** @param {{ text: string, max?: number }} props */
export function Text({ text, max = MAX_CHARS }) {
  return html`<bdi>${beginning(text, max)}</bdi>`;
}
