// EMCP going away and coming back under an open page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { CALCULATOR, START_MS } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function restart(suite) {
  test("while EMCP is away the page says so, and it goes on by itself", async () => {
    await suite.create("steady", { start: true, wait: 60 });
    const list = await suite.visitSignedIn();
    const typing = await suite.visitSignedIn("/new");
    await typing.getByLabel("Name", { exact: true }).fill("typed");
    await typing.getByText("This name is free.").waitFor();
    await list.locator('[data-server="steady"] .status[data-status="running"]').waitFor({ timeout: START_MS });
    await suite.platform.stopEmcp();
    for (const page of [list, typing]) await page.getByText("EMCP does not answer; it may be restarting.").waitFor();
    // What was known is still there.
    await list.locator('[data-server="steady"]').waitFor();
    await screenshots(list, "emcp-away");
    await suite.platform.startEmcp();
    for (const page of [list, typing]) {
      await page.getByText("EMCP does not answer").waitFor({ state: "detached" });
      suite.forgive(page, /Failed to load resource/);
    }
    await suite.create("after-it");
    await list.locator('[data-server="after-it"]').waitFor();
    await list.locator('[data-server="steady"] .status[data-status="running"]').waitFor({ timeout: START_MS });
    assert.equal(await typing.getByLabel("Name", { exact: true }).inputValue(), "typed");
  });

  test("tools, log and a page not seen before come by themselves after an outage", async () => {
    await suite.create("outlasting", { code: `print("a line to see")\n${CALCULATOR}`, start: true, wait: 60 });
    const open = async () => {
      const page = await suite.visitSignedIn("/servers/outlasting/tools");
      // The parts of the page are there; what they show is not.
      await page.getByRole("button", { name: /divide/ }).waitFor({ timeout: START_MS });
      await page.getByRole("link", { name: "Overview" }).last().click();
      await page.getByRole("heading", { name: "History" }).waitFor();
      return page;
    };
    const [tools, log, other] = [await open(), await open(), await open()];
    await suite.platform.stopEmcp();
    await tools.getByRole("link", { name: "Tools" }).click();
    await log.locator(".tabs").getByRole("link", { name: "Logs" }).click();
    await other.getByRole("link", { name: "Tokens" }).click();
    await tools.getByText("EMCP does not answer; reconnecting.").waitFor();
    await log.locator(".console").getByText("EMCP does not answer; reconnecting.").waitFor();
    await other.getByText("A part of this page did not arrive").waitFor();
    assert.equal(await tools.locator("#content .notice.bad").count(), 0);
    assert.equal(await log.getByText("No output yet").count(), 0);
    await screenshots(tools, "emcp-away-tools");
    await screenshots(log, "emcp-away-logs");
    await suite.platform.startEmcp();
    await tools.getByRole("button", { name: /divide/ }).waitFor({ timeout: START_MS });
    await log.locator(".log-line", { hasText: "a line to see" }).waitFor({ timeout: START_MS });
    await log.getByText("live", { exact: true }).waitFor();
    await other.getByRole("heading", { name: "Tokens", level: 1 }).waitFor({ timeout: START_MS });
    for (const page of [tools, log, other]) {
      await page.getByText("EMCP does not answer").waitFor({ state: "detached" });
      suite.forgive(page, /Failed to (load resource|fetch)|WebSocket|did not arrive/);
    }
  });

  test("where calls wait for the next EMCP instead of failing, the page says so too", async () => {
    await suite.create("patient");
    const page = await suite.visitSignedIn();
    await page.locator('[data-server="patient"]').waitFor();
    /** @type {(() => void)[]} */
    const waiting = [];
    // As the socket that outlives EMCP does (docs/operations.md).
    await page.route("**/api/**", async (route) => {
      await new Promise((/** @type {(value: void) => void} */ resolve) => waiting.push(resolve));
      await route.continue();
    });
    await suite.platform.stopEmcp();
    await page.getByText("EMCP does not answer; it may be restarting.").waitFor();
    await suite.platform.startEmcp();
    await page.unrouteAll({ behavior: "ignoreErrors" });
    for (const go of waiting) go();
    await page.getByText("EMCP does not answer").waitFor({ state: "detached" });
    await suite.create("after-that");
    await page.locator('[data-server="after-that"]').waitFor();
    suite.forgive(page, /Failed to load resource/);
  });
}
