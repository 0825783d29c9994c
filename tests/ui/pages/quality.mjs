// What holds for every page: nobody is shut out, nothing is too wide, the first
// load is small, the policy is strict.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { findings } from "../support/axe.mjs";
import { tooWide } from "../support/browser.mjs";
import { CALCULATOR } from "../support/suite.mjs";

const FIRST_LOAD_MAX = 60 * 1024;
const WIDTHS = [360, 1440];
const THEMES = /** @type {const} */ (["light", "dark"]);

/** @param {import("../support/suite.mjs").Suite} suite */
export default function quality(suite) {
  test("every page fits a phone and a desktop, light and dark, and axe finds nothing serious", async (context) => {
    await suite.create("calculator", { start: true, wait: 60, description: "Adds and multiplies.", env: [{ key: "API_KEY", value: "x", is_secret: true }] });
    await suite.create("broken", { code: CALCULATOR.replace("return a + b", "return a +"), start: true, wait: 60 });
    const addresses = [
      ...["/overview", "/servers", "/servers?q=nothing-like-it", "/new", "/tokens", "/audit", "/settings", "/no/such/page", "/servers/broken"],
      ...["overview", "code", "versions", "environment", "logs", "tools", "connection"].map((tab) => `/servers/calculator/${tab}`),
    ];
    /** @type {string[]} */
    const wrong = [];
    const page = await suite.visitSignedIn("/overview", { reducedMotion: "reduce", locale: "zh-CN" });
    for (const address of addresses) {
      await page.goto(`/#${address}`);
      await page.locator("#content h1").first().waitFor();
      await page.locator("#content .loading").waitFor({ state: "detached" });
      for (const theme of THEMES) {
        await page.emulateMedia({ colorScheme: theme });
        // Each theme in another language: both may be too long for a place.
        await page.getByRole("button", { name: theme === "light" ? "English" : "中文" }).click();
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: 900 });
          const widest = await tooWide(page);
          if (widest) wrong.push(`${address} ${theme} ${width}: too wide by ${widest}`);
          wrong.push(...(await findings(page)).map((finding) => `${address} ${theme} ${width}: ${finding}`));
        }
      }
    }
    context.diagnostic(`${addresses.length} pages, ${THEMES.length} themes, ${WIDTHS.length} widths`);
    assert.deepEqual(wrong, []);
  });

  test("signing in and out passes axe too, and the windows over a page do", async () => {
    for (const colorScheme of THEMES) {
      const page = await suite.visit({ colorScheme, reducedMotion: "reduce" });
      await page.getByRole("heading", { name: "Sign in to EMCP" }).waitFor();
      assert.deepEqual(await findings(page), []);
      await suite.signIn(page);
      await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
      await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
      assert.deepEqual(await findings(page), []);
      await page.keyboard.press("Escape");
      await page.getByRole("link", { name: "Tokens" }).click();
      await page.getByRole("button", { name: "New token" }).click();
      assert.deepEqual(await findings(page), []);
    }
  });

  test("the first load is under 60 KB gzipped, without the editor, and from this host alone", async (context) => {
    const page = await suite.open();
    /** @type {Map<string, import("playwright-core").Response>} */
    const files = new Map();
    page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (!pathname.startsWith("/api/")) files.set(pathname, response);
    });
    await page.goto("/");
    await suite.signIn(page);
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    let sum = 0;
    for (const [file, response] of files) {
      assert.equal(response.headers()["content-encoding"], "gzip", file);
      // Chromium counts the headers of HTTP/2 with the body; this is the body
      // as it came.
      sum += gzipSync(await response.body(), { level: 9 }).length;
    }
    context.diagnostic(`${files.size} files, ${sum} bytes`);
    assert.ok(files.size > 10);
    assert.ok(sum < FIRST_LOAD_MAX, `${sum} bytes`);
    assert.ok(![...files.keys()].some((file) => file.includes("codemirror")));
  });

  test("the policy lets nothing in from elsewhere, and nothing inline", async () => {
    const page = await suite.open();
    const answer = await page.goto("/");
    const policy = answer?.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src '(self|none)'/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|https?:|\*/);
  });

  test("the way from the address bar to an action needs no mouse", async () => {
    await suite.create("by-keyboard");
    const page = await suite.visitSignedIn("/servers");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
    await page.keyboard.press("/");
    await page.keyboard.type("by-key");
    await page.keyboard.press("Escape");
    assert.equal(await page.getByLabel("Search servers").inputValue(), "");
    await page.keyboard.press("Escape");
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim());
    for (let steps = 0; (await focused()) !== "Start: by-keyboard"; steps += 1) {
      assert.ok(steps < 40, "the button cannot be reached by Tab");
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await suite.waitForServer("by-keyboard", "running");
  });
}
