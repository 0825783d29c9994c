// What is around every page: language, theme, the keyboard, what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { until } from "../support/waits.mjs";

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

  test("a dashboard of which a script does not arrive is not a blank page", async () => {
    for (const [missing, words] of /** @type {const} */ ([
      [["**/boot.js"], "boot.js"],
      [["**/main.js"], "main.js"],
      [["**/pages/overview.js"], "dynamically imported module"],
      [["**/locales/en/first.js"], "first.js"],
    ])) {
      const page = await suite.open();
      for (const pattern of missing) await page.route(pattern, (route) => route.abort());
      await page.goto("/");
      await page.getByRole("heading", { name: "The dashboard could not be loaded" }).waitFor();
      await page.locator("#not-loaded-why", { hasText: words }).waitFor();
      await page.getByText("控制台没有加载成功").waitFor();
      await screenshots(page, "not-loaded");
      await page.unrouteAll();
      await page.locator("#not-loaded").getByRole("link", { name: "Reload" }).click();
      await page.getByLabel("Access token").waitFor();
      assert.equal(await page.locator("#not-loaded").isVisible(), false);
      suite.forgive(page, /ERR_FAILED|Failed to fetch/);
    }
  });

  test("where no script arrives at all, or none ends, the page itself says so", async () => {
    const page = await suite.open();
    await page.route("**/*.js", (route) => (new URL(route.request().url()).pathname === "/boot.js" ? undefined : route.abort()));
    await page.goto("/", { waitUntil: "commit" });
    await page.getByText("The dashboard is still loading.").waitFor();
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.locator("#starting").getByRole("link", { name: "Reload" }).click();
    await page.getByLabel("Access token").waitFor();
    assert.equal(await page.locator("#starting").count(), 0);
    suite.forgive(page, /ERR_FAILED/);
  });

  test("a part of the dashboard that does not arrive says so, and comes with a reload", async () => {
    for (const missing of ["**/pages/tokens.js", "**/locales/en/tokens.js", "**/styles/lists.css"]) {
      const page = await suite.visitSignedIn("/overview");
      await page.route(missing, (route) => route.abort());
      await page.getByRole("link", { name: "Tokens" }).click();
      const notice = page.getByRole("alert").filter({ hasText: "A part of this page did not arrive" });
      await notice.waitFor();
      // Everything else works.
      await page.getByRole("navigation").getByRole("link", { name: "Overview" }).click();
      await page.getByRole("heading", { name: "No servers yet" }).waitFor();
      await page.getByRole("link", { name: "Tokens" }).click();
      await notice.waitFor();
      await screenshots(page, "part-not-loaded");
      await page.unrouteAll();
      await notice.getByRole("button", { name: "Reload" }).click();
      await page.getByRole("heading", { name: "Tokens", level: 1 }).waitFor();
      suite.forgive(page, /ERR_FAILED|Failed to fetch|did not arrive/);
    }
  });

  test("a page that cannot be drawn says so, and the others can", async () => {
    await suite.create("odd");
    const page = await suite.open();
    await page.route("**/api/tokens", (route) => route.fulfill({ json: { tokens: [{ id: "x", name: "odd", role: "connect", servers: "not a list" }] } }));
    await page.request.post("/api/session", { data: { token: suite.platform.adminToken }, headers: { Origin: suite.platform.publicUrl } });
    await page.goto("/#/tokens");
    await page.getByText("A part of this page did not arrive, or cannot be shown.").waitFor();
    await page.getByRole("link", { name: "Servers" }).click();
    await page.locator('[data-server="odd"]').waitFor();
    suite.forgive(page, /not a function/);
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
    await until("its title", async () => (await page.title()) === "Servers · EMCP");
    const link = page.getByRole("link", { name: "two", exact: true });
    await link.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "two", level: 1 }).waitFor();
    // Once the page is painted.
    await until("its title", async () => (await page.title()) === "two · EMCP");
    await until("its beginning", () => page.evaluate(() => scrollY === 0));
    await until("the page to have the keyboard", () => page.evaluate(() => document.activeElement?.id === "content"));
  });

  test("an address that leads nowhere says so", async () => {
    const page = await suite.visitSignedIn("/no/such/page");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    await page.locator("#content").getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  });
}
