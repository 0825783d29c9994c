// The dashboard in real Chromium against a real platform: emcp, Traefik, Docker.
// The tests are in pages/, a file for each page or concern; they share one
// platform. EMCP_UI_ONLY=servers,tokens runs those files alone, EMCP_UI_EXCEPT
// all but those.

import { readdirSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe } from "node:test";
import { UI_TESTS } from "./support/settings.mjs";
import { Suite } from "./support/suite.mjs";

const suite = new Suite();
const only = process.env.EMCP_UI_ONLY?.split(",");
const except = process.env.EMCP_UI_EXCEPT?.split(",") ?? [];
const isWanted = (/** @type {string} */ name) => (!only || only.includes(name)) && !except.includes(name);
const files = readdirSync(path.join(UI_TESTS, "pages")).filter((file) => isWanted(path.basename(file, ".mjs")));
/** @type {[string, (suite: Suite) => void][]} */
const parts = [];
for (const file of files.sort()) parts.push([path.basename(file, ".mjs"), (await import(`./pages/${file}`)).default]);

describe("the dashboard", { concurrency: false }, () => {
  before(() => suite.start());
  after(() => suite.stop());
  afterEach((context) => suite.closePages((words) => "diagnostic" in context && context.diagnostic(words)));
  for (const [name, tests] of parts) describe(name, { concurrency: false }, () => tests(suite));
});
