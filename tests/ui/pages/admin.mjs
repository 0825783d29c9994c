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

  test("what was refused is told as tried, with the reason's code", async () => {
    const stranger = await suite.token("curious", "developer");
    await suite.create("guarded");
    const attempts = [
      ["PUT", "/code", "mcp = None", "tried to upload code of"],
      ["DELETE", "", undefined, "tried to delete the server"],
      ["GET", "/env", undefined, "tried to read the environment of"],
    ];
    for (const [method = "", part = "", data] of attempts) {
      await assert.rejects(suite.api(`/api/servers/guarded${part}`, { method, data, token: stranger.token }), /not_your_server/);
    }
    const page = await suite.visitSignedIn("/audit?actor=curious");
    for (const [, , , words = ""] of attempts) {
      const entry = page.locator(".audit li", { hasText: words });
      await entry.getByText("refused: not_your_server").waitFor();
      assert.match((await entry.textContent()) ?? "", new RegExp(`curious\\s*${words}\\s*guarded`));
    }
    for (const deed of ["uploaded code of", "deleted the server", "read the environment of"]) {
      assert.equal(await page.locator(".audit li", { hasText: new RegExp(`curious\\s*${deed}`) }).count(), 0, deed);
    }
    await screenshots(page, "audit-refused");
    await page.getByRole("button", { name: "中文" }).click();
    await page.locator(".audit li", { hasText: "尝试上传代码：" }).getByText("被拒绝：not_your_server").waitFor();
  });

  test("in Chinese no label and no choice is left in English", async () => {
    await suite.create("told", { start: false });
    const page = await suite.visitSignedIn("/audit", { locale: "zh-CN" });
    /** Names that are written so in Chinese, too. */
    const names = /^(ID|EMCP|CPU( .*)?|MCP SDK [12]\.x|Cherry Studio|Claude Code|Cursor|VS Code|Windsurf|Streamable HTTP|SSE|Debian, Ubuntu|macOS|Windows|JSON|stdout|stderr|told|admin|English)$/;
    const labels = "dt, th, option, label, legend, h1, h2, h3, summary, .tag, .status, .in-use, nav a, button".replace(/(^|, )/g, "$1#app ");
    for (const address of ["/overview", "/servers", "/new", "/tokens", "/usage", "/audit", "/settings", ...["", "/code", "/environment", "/logs", "/connection"].map((tab) => `/servers/told${tab}`)]) {
      await page.goto(`/#${address}`);
      await page.locator("#content h1").first().waitFor();
      await page.locator("#content .loading").waitFor({ state: "detached" });
      const texts = await page.locator(labels).evaluateAll((all) => all.flatMap((one) => [one.textContent ?? "", one.getAttribute("aria-label") ?? ""]));
      const groups = await page.locator("optgroup").evaluateAll((all) => all.map((one) => one.getAttribute("label") ?? ""));
      const english = [...texts, ...groups].map((text) => text.trim()).filter((text) => /[A-Za-z]{2}/.test(text) && !/\p{Script=Han}/u.test(text) && !names.test(text));
      assert.deepEqual(english, [], address);
    }
    await page.goto("/#/audit");
    const options = await page.locator(".audit-action option").allTextContents();
    assert.ok(options.includes("服务器的全部操作") && options.includes("代码的全部操作"), options.join(", "));
    assert.deepEqual(options.filter((text) => /[a-z]/.test(text)), []);
  });

  test("others find neither the audit log nor the settings", async () => {
    const developer = await suite.token("builds", "developer");
    const page = await suite.visitSignedIn("/servers", { token: developer.token });
    for (const name of ["Audit", "Settings"]) assert.equal(await page.getByRole("link", { name }).count(), 0);
    await page.goto("/#/settings");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  });
}
