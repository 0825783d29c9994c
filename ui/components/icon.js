// The icons, drawn in a 16 by 16 box with the colour of the text around them.
// They are decoration: the words beside them, or a label, say the same.

import { html } from "../vendor/preact.js";

const PATHS = {
  running: "M3.5 8.5l3 3 6-7",
  stopped: "M4.5 4.5h7v7h-7z",
  building: "M8 2.5a5.5 5.5 0 1 0 5.5 5.5",
  starting: "M8 2.5a5.5 5.5 0 1 0 5.5 5.5",
  sleeping: "M12.5 9.8A5 5 0 0 1 6.2 3.5a5 5 0 1 0 6.3 6.3z",
  error: "M8 2.5l6 10.5H2zM8 6.5v3M8 11.2v.3",
  unresponsive: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11zM8 5v3.5M8 10.8v.3",
  start: "M5 3.5l7 4.5-7 4.5z",
  pause: "M5.5 4v8M10.5 4v8",
  stop: "M4.5 4.5h7v7h-7z",
  restart: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5",
  logs: "M3 4h10M3 8h10M3 12h6",
  minus: "M3 8h10",
  plus: "M8 3v10M3 8h10",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  check: "M3.5 8.5l3 3 6-7",
  close: "M4 4l8 8M12 4l-8 8",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.5 8.5h6l.5-8.5",
  upload: "M8 10.5V3M5 5.5L8 3l3 2.5M3 10.5V13h10v-2.5",
  download: "M8 3v7.5M5 8l3 2.5L11 8M3 10.5V13h10v-2.5",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.5 10.5l3 3",
  down: "M8 3v9M4.5 9L8 12.5 11.5 9",
  light: "M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1",
  dark: "M12.5 9.8A5 5 0 0 1 6.2 3.5a5 5 0 1 0 6.3 6.3z",
  system: "M2.5 3.5h11v7.5h-11zM6 13.5h4M8 11v2.5",
  help: "M6 6.2A2 2 0 1 1 8 8.4v1M8 11.6v.3",
  out: "M6.5 3H3v10h3.5M7 8h6.5M11 5.5L13.5 8 11 10.5",
  edit: "M3 13l.7-3 6.8-6.8 2.3 2.3L6 12.3z",
  tool: "M9.5 4.5a3 3 0 0 1 4-2l-2 2 .5 1.5 1.5.5 2-2a3 3 0 0 1-4.5 3.5L5 14a1.4 1.4 0 0 1-2-2l6-6a3 3 0 0 1 .5-1.5z",
  link: "M6.5 9.5l3-3M7 5l1.8-1.8a2.5 2.5 0 0 1 3.7 3.6L10.8 8.6M9 11l-1.8 1.8a2.5 2.5 0 0 1-3.7-3.6L5.2 7.4",
  lock: "M4 7.5h8V13H4zM5.5 7.5V5.5a2.5 2.5 0 0 1 5 0v2",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {{ name: IconName }} props */
export function Icon({ name }) {
  const turns = name === "building" || name === "starting";
  return html`<svg class=${turns ? "icon turning" : "icon"} viewBox="0 0 16 16" aria-hidden="true">
    <path d=${PATHS[name]} />
  </svg>`;
}
