// Puts the dashboard into the page.

import { html, render } from "./vendor/preact.js";
import { App } from "./app.js";
import { startDrawing } from "./lib/drawn.js";
import { startFocus } from "./lib/focus.js";
import { startLanguage } from "./lib/i18n.js";
import { startRouter } from "./lib/router.js";
import { startSession } from "./lib/session.js";
import { startGuard } from "./lib/unsaved.js";

export async function start() {
  const root = document.getElementById("app");
  if (!root) throw new Error("index.html has no #app");
  startDrawing();
  startFocus();
  startGuard();
  startRouter();
  await Promise.all([startLanguage(), startSession()]);
  document.getElementById("starting")?.remove();
  render(html`<${App} />`, root);
}
