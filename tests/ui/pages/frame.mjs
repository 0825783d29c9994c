// What is around every page: language, theme, the keyboard, what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function frame(suite) {
  test("without its third-party modules the dashboard says what to run", async () => {
    const page = await suite.open();
    await page.route("**/vendor/preact.js", (route) => route.fulfill({ status: 404 }));
    await page.goto("/");
    await page.getByRole("heading", { name: "The dashboard is not built yet" }).waitFor();
    await page.getByText("scripts/ui.sh", { exact: true }).waitFor();
    // The missing modules are the point here.
    suite.forgive(page, /404|dynamically imported module/);
  });

  test("language and theme can be chosen, last, and the keyboard has its list", async () => {
    const page = await suite.visit({ locale: "zh-CN" });
    await page.getByLabel("访问令牌").fill(suite.platform.adminToken);
    await page.getByRole("button", { name: "登录" }).click();
    await page.getByRole("heading", { name: "还没有服务器" }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    await page.getByRole("button", { name: "主题" }).click();
    await page.getByRole("button", { name: "主题" }).click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    await page.goto("/#/new");
    await page.locator(".cm-editor").waitFor();
    await screenshots(page, "create-zh-dark");
    await page.reload();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    await page.getByRole("button", { name: "English" }).click();
    await page.getByRole("heading", { name: "New server" }).waitFor();
    await page.locator("#content h1").click();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });

  test("another page has another title, begins at the top, and has the keyboard", async () => {
    for (const name of ["one", "two", "three", "four", "five", "six"]) await suite.create(name, { description: "x ".repeat(400) });
    const page = await suite.visitSignedIn("/servers", { viewport: { width: 360, height: 600 } });
    assert.equal(await page.title(), "Servers · EMCP");
    const link = page.getByRole("link", { name: "two", exact: true });
    await link.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "two", level: 1 }).waitFor();
    assert.equal(await page.title(), "two · EMCP");
    assert.equal(await page.evaluate(() => scrollY), 0);
    assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
  });

  test("an address that leads nowhere says so", async () => {
    const page = await suite.visitSignedIn("/no/such/page");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    await page.locator("#content").getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  });
}
