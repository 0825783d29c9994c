// Whether there is room for a table.

import { signal } from "../vendor/preact.js";

const query = matchMedia("(min-width: 60rem)");
export const isWide = signal(query.matches);
query.addEventListener("change", () => {
  isWide.value = query.matches;
});
