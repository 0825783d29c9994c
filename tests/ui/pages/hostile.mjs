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

  test("what turns or hides text is named wherever it is drawn", async () => {
    const offer = `
from mcp.server.fastmcp import FastMCP
from pydantic import Field

print("log \\u202egpj.exe\\u200b line")
mcp = FastMCP("Ser\\u202ever\\u200b", instructions="do \\u2066this\\u2069 \\u202etxt")

@mcp.tool(title="ti\\u202etle")
def pay(amount: int = Field(default=1, description="how \\u202emuch\\u200b")) -> str:
    """Pays \\u202eyadot\\u2066 \\u200band \\u200dall."""
    return "paid \\u202eyes"

@mcp.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("why \\u202enot")

@mcp.resource("notes://to\\u202eday")
def notes() -> str:
    """Re\\u202esource."""
    return "no\\u202etes"

@mcp.prompt()
def ask(topic: str) -> str:
    """Pro\\u202empt."""
    return f"about \\u202e{topic}"
`;
    await suite.create("turned", { code: `# comment \u202eexe\n${offer}`, description: `about ${TURNED}\u200b`, start: true, wait: 60, env: [{ key: "PLAIN", value: "va\u202elue", is_secret: false }] });
    await suite.create("broken-turned", { code: HOSTILE_CODE, start: true });
    await suite.waitForServer("broken-turned", "error");
    const page = await suite.visitSignedIn("/servers");
    /** Text and labels as they are drawn, also in shadow roots; what is typed is the reader's own. */
    const unnamed = () =>
      page.evaluate(() => {
        const turning = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/;
        /** @type {string[]} */
        const found = [];
        const look = (/** @type {Node} */ node) => {
          if (node instanceof Text && turning.test(node.data)) found.push(node.data.slice(0, 80));
          if (node instanceof Element) {
            for (const name of ["title", "aria-label", "alt", "placeholder", "label"]) if (turning.test(node.getAttribute(name) ?? "")) found.push(`${name}: ${node.getAttribute(name)}`);
            if (node.shadowRoot) look(node.shadowRoot);
          }
          node.childNodes.forEach(look);
        };
        look(document.documentElement);
        return [...found, ...(turning.test(document.title) ? [document.title] : [])];
      });
    const tabs = ["overview", "code", "environment", "logs", "connection"].flatMap((tab) => [`/servers/turned/${tab}`, `/servers/broken-turned/${tab}`]);
    const addresses = ["/overview", "/servers", "/audit", "/tokens", ...tabs, "/servers/no\u202ename", "/servers?q=no\u202ename"];
    for (const address of addresses) {
      await page.goto(`/#${address}`);
      await page.locator("#content h1").first().waitFor();
      await page.locator("#content .loading").waitFor({ state: "detached" });
      if (address.endsWith("/code")) await page.locator(".cm-content").waitFor();
      if (address.endsWith("/logs")) await page.locator(".log-line", { hasText: "[U+202E]" }).first().waitFor();
      assert.deepEqual(await unnamed(), [], address);
    }
    suite.forgive(page, /404/);
    await page.goto("/#/servers/turned/tools");
    const pane = page.locator(".offer-pane");
    await pane.getByText("Pays [U+202E]yadot[U+2066] [U+200B]and [U+200D]all.").waitFor({ timeout: START_MS });
    await page.getByText("do [U+2066]this[U+2069] [U+202E]txt").waitFor();
    await pane.getByRole("button", { name: "Call" }).click();
    await pane.getByText("paid [U+202E]yes").waitFor();
    assert.deepEqual(await unnamed(), []);
    await screenshots(page, "hostile-tools");
    await page.getByRole("button", { name: /^fail/ }).click();
    await pane.getByRole("button", { name: "Call" }).click();
    await pane.getByText("why [U+202E]not").waitFor();
    assert.deepEqual(await unnamed(), []);
    for (const [kind, action, answer] of /** @type {const} */ ([["Resources", "Read", "no[U+202E]tes"], ["Prompts", "Get", "about [U+202E]"]])) {
      await page.getByRole("button", { name: kind }).click();
      await pane.getByRole("button", { name: action }).click();
      await pane.getByText(answer).waitFor();
      assert.deepEqual(await unnamed(), [], kind);
    }
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
