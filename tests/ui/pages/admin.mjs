// What only administrators see: the audit log and the settings.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function admin(suite) {
  test("the audit log tells who did what, can be filtered, and loads more", async () => {
    for (let number = 1; number <= 30; number += 1) {
      const { id } = await suite.token(`noted-${number}`, "viewer");
      await suite.api(`/api/tokens/${id}`, { method: "DELETE" });
    }
    const page = await suite.visitSignedIn("/audit");
    await page.locator(".audit li", { hasText: "noted-30" }).first().waitFor();
    await screenshots(page, "audit");
    const shown = await page.locator(".audit li").count();
    await page.getByRole("button", { name: "Show more" }).click();
    await page.locator(".audit li").nth(shown).waitFor();
    await page.getByLabel("By whom (whole name)").fill("nobody-like-it");
    await page.getByRole("heading", { name: "No entry matches" }).waitFor();
    assert.match(page.url(), /actor=nobody-like-it/);
    await page.reload();
    await page.getByRole("heading", { name: "No entry matches" }).waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await page.locator(".audit li").first().waitFor();
    await page.getByLabel("What was done").selectOption("server.delete");
    await page.locator(".audit li", { hasText: "noted-" }).first().waitFor({ state: "detached" });
    assert.match(page.url(), /action=server.delete/);
  });

  test("the settings are shown, and can be copied", async () => {
    const page = await suite.visitSignedIn("/settings");
    await page.getByText(suite.platform.dataDir, { exact: true }).waitFor();
    await page.getByRole("button", { name: "Copy: Public URL" }).click();
    await page.getByRole("button", { name: "Copied: Public URL" }).waitFor();
    assert.ok((await page.evaluate(() => navigator.clipboard.readText())).startsWith(suite.platform.publicUrl));
    await screenshots(page, "settings");
    const text = (await page.locator("#content").textContent()) ?? "";
    assert.ok(!text.includes(suite.platform.adminToken));
  });

  test("an administrator sees what everybody uses of their quota, and others what is their own", async () => {
    const developer = await suite.token("takes-much", "developer", { quota: { servers: 2 } });
    await suite.create("much-1", { token: developer.token });
    await suite.token("takes-nothing", "developer");
    const page = await suite.visitSignedIn();
    await page.getByRole("link", { name: "Usage" }).click();
    const person = page.locator('[data-person="takes-much"]');
    await person.getByText("1 of 2", { exact: true }).waitFor();
    assert.equal(await person.getByRole("progressbar", { name: "Servers", exact: true }).getAttribute("value"), "50");
    await page.locator('[data-person="admin"]').getByText("no quota").waitFor();
    await page.locator('[data-person="takes-nothing"]').waitFor();
    await screenshots(page, "usage");

    await suite.create("much-2", { token: developer.token });
    const own = await suite.visitSignedIn("/usage", { token: developer.token });
    await own.locator('[data-person="takes-much"] [data-level="full"]').getByText("2 of 2", { exact: true }).waitFor();
    assert.equal(await own.locator("[data-person]").count(), 1);
    await own.getByText("Any one server may have at most").waitFor();
  });

  test("a change that was repeated is one entry with its count", async () => {
    await suite.create("repeated");
    for (let number = 0; number < 3; number += 1) await suite.api("/api/servers/repeated", { method: "PATCH", data: { description: "x" } });
    const page = await suite.visitSignedIn("/audit");
    const entry = page.locator(".audit li", { hasText: "repeated" }).filter({ hasText: "changed the settings of" });
    await entry.getByText("3 times").waitFor();
    assert.equal(await entry.count(), 1);
  });

  test("others find neither the audit log nor the settings", async () => {
    const developer = await suite.token("builds", "developer");
    const page = await suite.visitSignedIn("/servers", { token: developer.token });
    for (const name of ["Audit", "Settings"]) assert.equal(await page.getByRole("link", { name }).count(), 0);
    await page.goto("/#/settings");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  });
}
