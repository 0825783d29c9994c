// Puts the dashboard into the page.

import { html, render } from "./vendor/preact.js";
import { App } from "./app.js";
import { startLanguage } from "./lib/i18n.js";
import { startRouter } from "./lib/router.js";
import { startSession } from "./lib/session.js";
import { startGuard } from "./lib/unsaved.js";

export async function start() {
  const root = document.getElementById("app");
  if (!root) throw new Error("index.html has no #app");
  startGuard();
  startRouter();
  await Promise.all([startLanguage(), startSession()]);
  render(html`<${App} />`, root);
}
