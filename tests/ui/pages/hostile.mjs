// Texts made to mislead: markup, scripts, bidirectional controls, very long ones.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { START_MS } from "../support/suite.mjs";

const MARKUP = `<img src=x onerror="window.hit=1"><script>window.hit=1</script><b>bold</b>`;
const TURNED = "invoice\u202egpj.exe\u2066 \u200fend";
const LONG = "A".repeat(1024 * 1024);

/** Writes hostile lines, then fails with a hostile message. */
const HOSTILE_CODE = `
import sys
print("L" * 1_048_576)
print("\\u202e turned \\u0007 \\x1b]0;title\\x07 \\x00 end of turned")
print(${JSON.stringify(MARKUP)})
sys.stdout.flush()
raise RuntimeError(${JSON.stringify(MARKUP)} + "\\u202e gpj.exe")
`;

/** @param {import("../support/suite.mjs").Suite} suite */
export default function hostile(suite) {
  test("hostile texts are shown as text, on every page that shows them", async () => {
    const description = `${MARKUP} ${TURNED} ${"W".repeat(3_500)}`;
    await suite.create("hostile", { code: HOSTILE_CODE, description, start: true });
    await suite.waitForServer("hostile", "error");
    const page = await suite.visitSignedIn("/servers");
    const card = page.locator('[data-server="hostile"]');
    await card.locator('.status[data-status="error"]').waitFor({ timeout: START_MS });
    await card.getByText("<b>bold</b>").first().waitFor();
    await card.getByText("invoice[U+202E]gpj.exe[U+2066] [U+200F]end").waitFor();
    await screenshots(page, "hostile-servers");
    const addresses = ["/overview", "/servers", "/servers/hostile", "/servers/hostile/logs", "/servers/hostile/code", "/servers/hostile/connection", "/audit"];
    for (const address of addresses) {
      await page.goto(`/#${address}`);
      await page.locator("#content h1").first().waitFor();
      await page.locator("#content .loading").waitFor({ state: "detached" });
      await screenshots(page, `hostile-${address.split("/").at(-1)}`);
    }
    await page.goto("/#/servers/hostile/logs");
    await page.locator(".log-line", { hasText: "<b>bold</b>" }).first().waitFor();
    await page.getByText("end of turned").first().waitFor();
    assert.equal(await page.evaluate(() => Reflect.get(window, "hit")), undefined);
    assert.equal(await page.locator("#content img, #content script").count(), 0);
  });

  test("a megabyte where a sentence is expected breaks nothing", async () => {
    await suite.create("long");
    const page = await suite.open();
    // EMCP itself keeps such texts short; a page must not rely on it.
    await page.route("**/api/overview", async (route) => {
      const answer = await route.fetch();
      const overview = await answer.json();
      const server = { id: "x", name: "long" };
      const event = { server, at: new Date().toISOString(), kind: "note", code: "unknown_code", message: `${MARKUP}${TURNED}${LONG}`, actor: "admin" };
      await route.fulfill({ response: answer, json: { ...overview, recent_events: [event], notices: [{ code: "unknown_code", message: `${TURNED}${LONG}` }] } });
    });
    await page.request.post("/api/session", { data: { token: suite.platform.adminToken }, headers: { Origin: suite.platform.publicUrl } });
    await page.goto("/#/overview");
    const events = page.getByRole("region", { name: "Recent events" });
    await events.getByText("<b>bold</b>invoice[U+202E]gpj.exe").waitFor();
    await page.locator(".notice", { hasText: "invoice[U+202E]" }).waitFor();
    assert.ok(((await events.textContent()) ?? "").length < 10_000);
    await screenshots(page, "hostile-long");
  });
}
