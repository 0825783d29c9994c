// The next version of a server's code: written, checked, compared, undone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { CALCULATOR, START_MS, waitForStatus } from "../support/suite.mjs";
import { until } from "../support/waits.mjs";

const NEXT = CALCULATOR.replace("Add two numbers.", "Add two numbers, precisely.");

/** @param {import("../support/suite.mjs").Suite} suite */
export default function code(suite) {
  /**
   * @param {import("playwright-core").Page} page
   * @param {string} name
   * @param {string} text
   */
  async function rewrite(page, name, text) {
    await page.locator(".cm-line", { hasText: "FastMCP(" }).waitFor();
    await page.getByRole("textbox", { name: `Code of ${name}` }).fill(text);
  }

  test("what changes is shown before it is saved, and every version can be read and used again", async () => {
    await suite.create("evolving", { start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/evolving/code");
    await rewrite(page, "evolving", NEXT);
    await page.getByRole("button", { name: "Changes from version 1" }).click();
    await page.locator(".cm-changedLine", { hasText: "precisely" }).waitFor();
    await page.locator(".cm-deletedChunk", { hasText: "Add two numbers." }).waitFor();
    await page.getByText(/\d+ unchanged lines/).first().waitFor();
    await screenshots(page, "code-changes");
    await page.getByRole("button", { name: "Save and restart" }).click();
    await page.getByText("Version 2 is saved; the server restarts with it.").waitFor();
    await page.getByRole("heading", { name: "Version 2" }).waitFor();
    await waitForStatus(page, "running");

    await page.getByRole("navigation", { name: "evolving" }).getByRole("link", { name: "Overview" }).click();
    await page.getByRole("button", { name: "View: 1" }).click();
    const dialog = page.getByRole("dialog", { name: "Version 1" });
    await dialog.locator(".cm-deletedChunk", { hasText: "precisely" }).waitFor();
    await screenshots(page, "version-changes");
    await dialog.getByRole("button", { name: "Code", exact: true }).click();
    await dialog.getByRole("textbox", { name: "Version 1" }).waitFor();
    assert.equal(await dialog.locator(".cm-line", { hasText: "precisely." }).count(), 0);
    await dialog.getByRole("button", { name: "Use this" }).click();
    await page.getByText("Version 1 is saved; the server restarts with it.").waitFor();
    await page.locator('[data-version="1"]').getByText("in use").waitFor({ timeout: START_MS });
    assert.equal((await suite.api("/api/servers/evolving")).version, 1);
    await waitForStatus(page, "running");
  });

  test("while a server is being stopped or is stopped, no version is said to be in use", async () => {
    // It takes its time to end, as one with calls under way does.
    const slow = `import atexit, time\natexit.register(time.sleep, 4)\n${CALCULATOR}`;
    await suite.create("leaving", { code: slow, start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/leaving");
    const version = (/** @type {number} */ number) => page.locator(`[data-version="${number}"]`);
    await version(1).getByText("in use", { exact: true }).waitFor();
    /** What the page says of the version at every moment from here on. */
    await page.evaluate(() => {
      const said = new Set();
      Object.assign(window, { said });
      const look = () => {
        const status = document.querySelector(".server-title .status")?.textContent;
        const use = document.querySelector("[data-use]")?.textContent;
        said.add(`${status}: ${use}`);
        requestAnimationFrame(look);
      };
      look();
    });
    await page.getByRole("button", { name: "Stop: leaving" }).click();
    const said = async () => /** @type {string[]} */ (await page.evaluate(() => [.../** @type {any} */ (window).said]));
    await until("the stop to be told", async () => (await said()).includes("stopping: being stopped"));
    await page.getByRole("navigation", { name: "leaving" }).getByRole("link", { name: "Code" }).click();
    await rewrite(page, "leaving", NEXT);
    await page.getByRole("button", { name: "Save as next version" }).click();
    await page.getByText(/Version 2 is saved\. The server is (being stopped|stopped); it uses it from its next start on\./).waitFor();
    assert.equal(await page.getByText(/Version 2 is in use/).count(), 0);
    await waitForStatus(page, "stopped");
    await page.getByRole("navigation", { name: "leaving" }).getByRole("link", { name: "Overview" }).click();
    await version(2).getByText("used from the next start on").waitFor();
    await page.getByRole("button", { name: "Start: leaving" }).click();
    await version(2).getByText("in use", { exact: true }).waitFor({ timeout: START_MS });
    const all = await said();
    assert.deepEqual(all.filter((words) => words.endsWith(": in use") && words !== "running: in use"), [], all.join(", "));
  });

  test("an update with an error is found before it is saved, and the old version goes on", async () => {
    await suite.create("guarded", { start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/guarded/code");
    await rewrite(page, "guarded", CALCULATOR.replace("return a + b", "return a +"));
    await page.getByRole("button", { name: "Save and restart" }).click();
    await page.getByText("The version in use goes on serving until you save.").waitFor({ timeout: 60_000 });
    await page.locator(".cm-line .cm-lintRange-error").waitFor();
    const { version, status } = await suite.api("/api/servers/guarded");
    assert.deepEqual({ version, status }, { version: 1, status: "running" });
    await screenshots(page, "code-errors");
    await page.getByRole("button", { name: "Discard changes" }).click();
    await page.getByText("The version in use goes on serving until you save.").waitFor({ state: "detached" });
    await page.getByRole("heading", { name: "Version 1" }).waitFor();
  });

  test("unsaved code survives a reload and is not left without a question", async () => {
    await suite.create("kept");
    const page = await suite.visitSignedIn("/servers/kept/code");
    await rewrite(page, "kept", NEXT);
    page.on("dialog", (dialog) => dialog.accept());
    await page.reload();
    await page.getByRole("heading", { name: "Next version" }).waitFor();
    await page.locator(".cm-line", { hasText: "precisely" }).waitFor();
    await page.getByRole("navigation", { name: "kept" }).getByRole("link", { name: "Logs" }).click();
    const guard = page.getByRole("dialog", { name: "Leave without saving?" });
    await guard.getByRole("button", { name: "Leave" }).click();
    await page.getByRole("log").waitFor();
    await page.getByRole("navigation", { name: "kept" }).getByRole("link", { name: "Code" }).click();
    await page.getByRole("heading", { name: "Version 1" }).waitFor();
    assert.equal(await page.locator(".cm-line", { hasText: "precisely" }).count(), 0);
  });

  test("the environment asks before unsaved changes are left, and a secret is never read back", async () => {
    await suite.create("secretive", { env: [{ key: "API_KEY", value: "hush", is_secret: true }] });
    const page = await suite.visitSignedIn("/servers/secretive/environment");
    await page.getByText("******").waitFor();
    assert.ok(!(await page.content()).includes("hush"));
    await page.getByRole("button", { name: "Replace API_KEY" }).click();
    assert.equal(await page.getByLabel("Value of API_KEY").inputValue(), "");
    await page.getByLabel("Value of API_KEY").fill("new");
    await page.getByRole("navigation", { name: "secretive" }).getByRole("link", { name: "Logs" }).click();
    await page.getByRole("dialog", { name: "Leave without saving?" }).getByRole("button", { name: "Stay here" }).click();
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("The environment was saved.").waitFor();
    await page.getByText("******").waitFor();
    await page.getByRole("navigation", { name: "secretive" }).getByRole("link", { name: "Logs" }).click();
    await page.getByRole("log").waitFor();
  });
}
