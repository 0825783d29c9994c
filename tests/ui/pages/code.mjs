// The next version of a server's code: written, checked, compared, undone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { CALCULATOR, waitForStatus } from "../support/suite.mjs";

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
    await page.getByText("Version 2 is in use.").waitFor();
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
    await page.getByText("Version 1 is in use.").waitFor();
    await page.locator('[data-version="1"]').getByText("in use").waitFor();
    assert.equal((await suite.api("/api/servers/evolving")).version, 1);
    await waitForStatus(page, "running");
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
