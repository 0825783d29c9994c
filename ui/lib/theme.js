// Light, dark, or as the system has it.

import { signal } from "../vendor/preact.js";
import { recall, remember } from "./storage.js";

/** @typedef {"system" | "light" | "dark"} Theme */

const ORDER = /** @type {const} */ (["system", "light", "dark"]);

/** @param {string | null} text */
const known = (text) => ORDER.find((theme) => theme === text) ?? "system";

/** @type {import("../vendor/preact.js").Signal<Theme>} */
export const theme = signal(known(recall("theme")));

export function nextTheme() {
  theme.value = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length] ?? "system";
  remember("theme", theme.value);
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}
