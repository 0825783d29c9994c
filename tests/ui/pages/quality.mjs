// What holds for every page: nobody is shut out, nothing is too wide, the first
// load is small, the policy is strict.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { findings } from "../support/axe.mjs";
import { tooWide } from "../support/browser.mjs";
import { CALCULATOR } from "../support/suite.mjs";
import { partsOf, together } from "../support/words.mjs";

const FIRST_LOAD_MAX = 60 * 1024;
const WIDTHS = [360, 1440];
/** What each language calls what the first load meets. */
const LANGUAGES = [
  { locale: "en", token: "Access token", signIn: "Sign in", empty: "No servers yet" },
  { locale: "zh-CN", token: "访问令牌", signIn: "登录", empty: "还没有服务器" },
];
const THEMES = /** @type {const} */ (["light", "dark"]);

/** Of no machine that runs the tests, and not a whole number of hours from one. */
const FAR_AWAY = "Asia/Kathmandu";

/** @param {string} at */
function timeOfDay(at) {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: FAR_AWAY }).format(new Date(at));
}

/**
 * Versions of the formatting rules differ in the kinds of spaces.
 * @param {string} text
 */
function plainSpaces(text) {
  return text.replace(/\s/g, " ");
}

const KEYS = together(await partsOf("en"));

/**
 * What stands on a page where words did not come.
 * @param {import("playwright-core").Page} page
 */
async function keysShown(page) {
  const text = await page.locator("body").innerText();
  return [...text.matchAll(/[a-z]+(?:\.\w+)+/g)].map(String).filter((word) => Object.hasOwn(KEYS, word));
}

/** @param {import("../support/suite.mjs").Suite} suite */
export default function quality(suite) {
  test("every page fits a phone and a desktop, light and dark, and axe finds nothing serious", async (context) => {
    await suite.create("calculator", { start: true, wait: 60, description: "Adds and multiplies.", env: [{ key: "API_KEY", value: "x", is_secret: true }] });
    await suite.create("broken", { code: CALCULATOR.replace("return a + b", "return a +"), start: true, wait: 60 });
    const addresses = [
      ...["/overview", "/servers", "/servers?q=nothing-like-it", "/new", "/tokens", "/usage", "/audit", "/settings", "/no/such/page", "/servers/broken"],
      ...["overview", "code", "environment", "logs", "tools", "connection"].map((tab) => `/servers/calculator/${tab}`),
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
          wrong.push(...(await keysShown(page)).map((key) => `${address} ${theme} ${width}: "${key}" has no words`));
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
      // It comes when it is first asked for: what is pressed before would go past it.
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await findings(page), []);
      await page.keyboard.press("Escape");
      await page.getByRole("link", { name: "Tokens" }).click();
      await page.getByRole("button", { name: "New token" }).click();
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await findings(page), []);
    }
  });

  for (const { locale, token, signIn, empty } of LANGUAGES) {
    test(`the first load is under 60 KB gzipped, without the editor, and from this host alone (${locale})`, async (context) => {
      const page = await suite.open({ locale });
      /** @type {Map<string, import("playwright-core").Response>} */
      const files = new Map();
      page.on("response", (response) => {
        const { pathname } = new URL(response.url());
        if (!pathname.startsWith("/api/")) files.set(pathname, response);
      });
      await page.goto("/");
      await page.getByLabel(token).fill(suite.platform.adminToken);
      await page.getByRole("button", { name: signIn }).click();
      await page.getByRole("heading", { name: empty }).waitFor();
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
  }

  for (const locale of ["en", "zh-CN"]) {
    test(`every time is the reader's own, exact to the second on hover (${locale})`, async () => {
      await suite.create("timed", { code: `print("begun")\n${CALCULATOR}`, start: true, wait: 60 });
      await suite.token("timed", "viewer");
      const page = await suite.visitSignedIn("/overview", { locale, timezoneId: FAR_AWAY });
      const format = new Intl.DateTimeFormat(locale.slice(0, 2), { dateStyle: "medium", timeStyle: "medium", timeZone: FAR_AWAY });
      for (const address of ["/overview", "/servers/timed", "/servers/timed/logs", "/tokens", "/audit"]) {
        await page.goto(`/#${address}`);
        await page.locator("#content time").first().waitFor();
        const times = await page.locator("#content time").evaluateAll((all) => all.map((one) => [one.getAttribute("datetime") ?? "", one.getAttribute("title") ?? "", one.textContent ?? ""]));
        for (const [at = "", title = "", text = ""] of times) {
          assert.equal(plainSpaces(title), plainSpaces(format.format(new Date(at))), address);
          // A line of a log has its time of day, everything else how long ago.
          if (address.endsWith("/logs")) assert.equal(text.slice(0, 8), timeOfDay(at), address);
          else assert.doesNotMatch(text, /\d:\d/, address);
        }
      }
    });
  }

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
