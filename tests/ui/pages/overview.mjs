// The start page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { CALCULATOR, START_MS } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function overview(suite) {
  test("the overview counts, charts, tells what needs attention and what happened, and leads there", async () => {
    const page = await suite.visitSignedIn("/overview");
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    await suite.create("calculator", { start: true, description: "Adds, subtracts, multiplies and divides." });
    await suite.create("billing", { code: CALCULATOR.replace("return a + b", "return a +"), start: true, description: "Invoices" });
    await suite.create("archive", { description: "Last year's documents, read-only." });
    const tile = (/** @type {string} */ status) => page.locator(`.tile[data-status="${status}"]`);
    for (const status of ["running", "error", "stopped"]) {
      await tile(status).locator("strong", { hasText: "1" }).waitFor({ timeout: START_MS });
    }
    assert.equal(await tile("sleeping").locator("strong").textContent(), "0");

    const attention = page.getByRole("region", { name: "Needs attention" });
    await attention.getByText("line 13").waitFor();
    const events = page.getByRole("region", { name: "Recent events" });
    await events.getByRole("link", { name: "calculator" }).first().waitFor();
    await page.getByRole("img", { name: /^CPU of all servers/ }).waitFor();
    await page.getByRole("img", { name: /^Memory of all servers.*: [1-9]\d* MiB now/ }).waitFor();
    await screenshots(page, "overview", { image: "overview" });
    await page.goto("/#/servers");
    await page.locator('[data-server="billing"]').waitFor();
    await screenshots(page, "servers-few", { image: "servers" });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto("/#/overview");
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByRole("heading", { name: "总览", level: 1 }).waitFor();
    await screenshots(page, "overview-zh-dark", { image: "overview-zh" });
    await page.getByRole("button", { name: "English" }).click();

    await tile("error").click();
    await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
    assert.match(page.url(), /#\/servers\?status=error$/);
    await page.locator('[data-server="billing"]').waitFor();
    assert.equal(await page.locator("[data-server]").count(), 1);
    await page.goBack();
    await attention.getByRole("link", { name: "billing" }).click();
    await page.getByLabel("Last failure").waitFor();
    await page.goBack();

    // What is mended leaves the list by itself.
    await suite.api("/api/servers/billing/code", { method: "PUT", data: { code: CALCULATOR } });
    await attention.getByText("Nothing needs attention.").waitFor({ timeout: START_MS });
    await tile("running").locator("strong", { hasText: "2" }).waitFor({ timeout: START_MS });
  });
}
