// The dashboard in real Chromium against a real platform: emcp, Traefik, Docker.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { launch, openPage, screenshots } from "./support/browser.mjs";
import { Platform } from "./support/platform.mjs";
import { REPO } from "./support/settings.mjs";

/** A start takes seconds; on a busy machine, more of them. */
const START_MS = 90_000;

const SIGNER = readFileSync(path.join(REPO, "examples/webhook_signer.py"), "utf8");
const CALCULATOR = readFileSync(path.join(REPO, "examples/calculator.py"), "utf8");

describe("the dashboard", { concurrency: false }, () => {
  /** @type {Platform} */
  let platform;
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof openPage>>[]} */
  let opened = [];

  before(async () => {
    platform = await Platform.start();
    browser = await launch(platform);
  });
  after(async () => {
    await browser?.close();
    await platform?.stop();
  });
  afterEach(async (context) => {
    // A test that failed has told why; what the pages and the platform said
    // may tell more.
    for (const { page, complaints } of opened) {
      if (complaints.length > 0 && "diagnostic" in context) context.diagnostic(`${page.url()}: ${complaints.join("\n")}`);
    }
    const complaints = opened.flatMap((one) => one.complaints);
    for (const { context } of opened) await context.close();
    opened = [];
    assert.deepEqual(complaints, []);
  });

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  async function visit(options) {
    const one = await openPage(browser, platform.publicUrl, options);
    opened.push(one);
    await one.page.goto("/");
    return one.page;
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} [token]
   */
  async function signIn(page, token = platform.adminToken) {
    await page.getByLabel("Access token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  async function visitSignedIn(options) {
    const page = await visit(options);
    await signIn(page);
    await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
    return page;
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} code
   */
  async function writeCode(page, code) {
    const editor = page.getByRole("textbox", { name: "Python code" });
    await page.locator(".cm-editor").waitFor();
    await editor.fill(code);
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} name
   * @param {string} code
   */
  async function create(page, name, code) {
    await page.goto("/#/new");
    await page.getByLabel("Name", { exact: true }).fill(name);
    await writeCode(page, code);
    await page.getByText("This name is free.").waitFor();
    await page.getByRole("button", { name: "Create server" }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} status
   */
  async function waitForStatus(page, status) {
    await page.locator(`.server-title .status[data-status="${status}"]`).waitFor({ timeout: START_MS });
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} name
   */
  async function remove(page, name) {
    await page.getByRole("button", { name: `Delete: ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
    await page.locator(`[data-server="${name}"]`).waitFor({ state: "detached" });
  }

  test("a wrong token is refused with words, and the right one leads to an empty list", async () => {
    const page = await visit();
    await screenshots(page, "sign-in");
    await signIn(page, "emcp_wrong");
    await page.getByText("This token is not valid").waitFor();
    await signIn(page);
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    await screenshots(page, "servers-empty");
    await page.reload();
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to EMCP" }).waitFor();
  });

  test("without its third-party modules the dashboard says what to run", async () => {
    const one = await openPage(browser, platform.publicUrl);
    opened.push(one);
    await one.page.route("**/vendor/preact.js", (route) => route.fulfill({ status: 404 }));
    await one.page.goto("/");
    await one.page.getByRole("heading", { name: "The dashboard is not built yet" }).waitFor();
    await one.page.getByText("scripts/ui.sh", { exact: true }).waitFor();
    // The missing modules are the point here.
    assert.ok(one.complaints.splice(0).every((complaint) => complaint.includes("404") || complaint.includes("dynamically imported module")));
  });

  test("a name is checked while it is typed", async () => {
    const page = await visitSignedIn();
    await page.keyboard.press("n");
    const name = page.getByLabel("Name", { exact: true });
    await name.fill("My_Server");
    await page.getByText("Use lower-case letters").waitFor();
    await name.fill("tokens");
    await page.getByText("EMCP uses this word itself").waitFor();
    await name.fill("my-server");
    await page.getByText("This name is free.").waitFor();
    assert.ok(await page.getByRole("button", { name: "Create server" }).isDisabled());
  });

  test("a pasted server runs, shows its log, takes a secret, connects, stops and is deleted", async () => {
    const page = await visitSignedIn();
    await page.getByRole("link", { name: "Create the first server" }).click();
    await page.getByLabel("Name", { exact: true }).fill("signer");
    await page.getByLabel("Description").fill("Signs webhook bodies <b>safely</b>");
    await writeCode(page, SIGNER.replace("mcp = MCPServer", 'print("\\x1b[32mkey of", len(SECRET), "bytes\\x1b[0m <i>ok</i>", flush=True)\nmcp = MCPServer'));
    await page.getByRole("button", { name: "Add secret" }).click();
    await page.getByLabel("Key", { exact: true }).fill("SIGNING_SECRET");
    await page.getByLabel("Value of SIGNING_SECRET").fill("correct horse");
    await page.getByText("This name is free.").waitFor();
    await screenshots(page, "create");
    await page.getByRole("button", { name: "Create server" }).click();
    await waitForStatus(page, "running");
    await screenshots(page, "server-overview");

    await page.getByRole("link", { name: "Logs" }).click();
    const line = page.locator(".log-line", { hasText: "key of 13 bytes <i>ok</i>" });
    await line.waitFor();
    assert.equal(await line.locator(".fg-2").textContent(), "key of 13 bytes");
    await screenshots(page, "server-logs");
    await page.getByLabel("Search in the log").fill("no such line");
    await page.getByText("No line matches.").waitFor();

    await page.getByRole("link", { name: "Environment" }).click();
    await page.getByText("******").waitFor();
    await page.getByRole("button", { name: "Paste .env" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill('# a comment\nexport GREETING="Hello\\tthere"\nAPI_TOKEN=abc\nnonsense\n');
    await page.getByText("These lines are not KEY=value and are left out: 4").waitFor();
    await page.getByRole("button", { name: "Take over" }).click();
    assert.equal(await page.getByLabel("Value of GREETING").inputValue(), "Hello\tthere");
    assert.equal(await page.getByLabel("Value of API_TOKEN").getAttribute("type"), "password");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Changes take effect with the next restart.").waitFor();
    assert.equal(await page.getByText("******").count(), 2);
    await screenshots(page, "server-environment");
    await page.getByRole("button", { name: "Restart now" }).click();
    await page.getByText("Changes take effect with the next restart.").waitFor({ state: "detached", timeout: START_MS });
    await waitForStatus(page, "running");

    await page.getByRole("link", { name: "Connection" }).click();
    await page.getByRole("button", { name: "Copy: Streamable HTTP" }).click();
    await page.getByRole("button", { name: "Copied: Streamable HTTP" }).waitFor();
    const url = `${platform.publicUrl}/api/signer/mcp`;
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), url);
    await page.getByRole("button", { name: "Make a connect token" }).click();
    await page.getByText("The new token is in the configurations below.").waitFor();
    await screenshots(page, "server-connection");
    await page.getByRole("button", { name: "Copy: Cherry Studio" }).click();
    await page.getByRole("button", { name: "Copied: Cherry Studio" }).waitFor();
    const config = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    const { Authorization } = config.mcpServers.signer.headers;
    assert.match(Authorization, /^Bearer emcp_[0-9a-f]{64}$/);
    const link = await page.getByRole("link", { name: "Add to Cherry Studio" }).getAttribute("href");
    const inLink = Buffer.from(new URL(link ?? "").searchParams.get("servers") ?? "", "base64").toString();
    assert.deepEqual(JSON.parse(inLink), config);
    // The copied configuration really lets a client in.
    const answer = await page.request.post(config.mcpServers.signer.baseUrl, {
      headers: { Authorization, Accept: "application/json, text/event-stream" },
      data: {
        jsonrpc: "2.0",
        id: 1,
        method: "initialize",
        params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "ui-test", version: "1" } },
      },
    });
    assert.equal(answer.status(), 200);
    assert.match(await answer.text(), /Webhook signer/);
    const ca = await page.request.get("/ca.crt");
    assert.match(await ca.text(), /BEGIN CERTIFICATE/);

    await page.getByRole("link", { name: "Servers", exact: true }).click();
    const card = page.locator('[data-server="signer"]');
    await card.getByText("Signs webhook bodies <b>safely</b>").waitFor();
    await screenshots(page, "servers");
    await card.getByRole("button", { name: "Stop: signer" }).click();
    await card.locator('[data-status="stopped"]').waitFor({ timeout: START_MS });
    await card.getByRole("link", { name: "signer", exact: true }).click();
    await waitForStatus(page, "stopped");
    await remove(page, "signer");
  });

  test("a syntax error is shown with its line, the traceback, and a mark in the editor", async () => {
    const page = await visitSignedIn();
    await create(page, "broken", CALCULATOR.replace("return a + b", "return a +"));
    await waitForStatus(page, "error");
    const failure = page.getByLabel("Last failure");
    await failure.getByRole("heading", { name: "Syntax error" }).waitFor();
    await failure.getByText("SyntaxError: invalid syntax").last().waitFor();
    await screenshots(page, "server-error");
    await failure.getByRole("link", { name: "Show line 13" }).click();
    await page.locator(".cm-lint-marker-error").waitFor();
    await page.locator(".cm-line .cm-lintRange-error", { hasText: "return a +" }).waitFor();
    await screenshots(page, "server-code");
    await page.getByRole("textbox", { name: "Code of broken" }).click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(CALCULATOR);
    await page.getByRole("button", { name: "Save and restart" }).click();
    await waitForStatus(page, "running");
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByText("Version 2", { exact: true }).waitFor();
    await remove(page, "broken");
  });

  test("a session that ends under an open page loses nothing that was typed", async () => {
    const page = await visitSignedIn();
    await page.goto("/#/new");
    await page.getByLabel("Name", { exact: true }).fill("kept");
    await writeCode(page, CALCULATOR);
    await page.getByText("This name is free.").waitFor();
    await page.context().clearCookies();
    const complaints = opened.at(-1)?.complaints ?? [];
    await page.getByRole("button", { name: "Create server" }).click();
    await page.getByRole("heading", { name: "Please sign in again" }).waitFor();
    // Chromium reports the refused call as an error; here it is the point.
    assert.ok(complaints.splice(0).every((complaint) => complaint.includes("401")));
    await screenshots(page, "session-expired");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await signIn(page);
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "kept");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "kept", level: 1 }).waitFor();
    await waitForStatus(page, "running");
    await remove(page, "kept");
  });

  test("many servers are a table where there is room, and the filter is in the address", async () => {
    const page = await visitSignedIn();
    for (let number = 1; number <= 13; number += 1) {
      const answer = await page.request.post("/api/servers", {
        headers: { Authorization: `Bearer ${platform.adminToken}` },
        data: { name: `batch-${number}`, description: number === 7 ? "the seventh" : "", code: CALCULATOR, start: false },
      });
      assert.equal(answer.status(), 201);
    }
    await page.getByRole("table").getByRole("link", { name: "batch-13", exact: true }).waitFor();
    await screenshots(page, "servers-many");
    await page.keyboard.press("/");
    await page.keyboard.type("seventh");
    await page.locator('[data-server="batch-1"]').waitFor({ state: "detached" });
    assert.match(page.url(), /#\/servers\?q=seventh$/);
    await page.reload();
    await page.locator('[data-server="batch-7"]').waitFor();
    assert.equal(await page.locator("[data-server]").count(), 1);
    await page.getByLabel("Search servers").fill("nothing like it");
    await page.getByRole("heading", { name: "No server matches" }).waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await page.locator('[data-server="batch-13"]').waitFor();
    for (let number = 1; number <= 13; number += 1) {
      await page.request.delete(`/api/servers/batch-${number}`, { headers: { Authorization: `Bearer ${platform.adminToken}` } });
    }
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
  });

  test("a token's secret is shown once, works, and is refused after it was revoked", async () => {
    const page = await visitSignedIn();
    await page.getByRole("link", { name: "Tokens" }).click();
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("a viewer");
    await dialog.getByLabel("Role").selectOption("viewer");
    await screenshots(page, "token-new");
    await dialog.getByRole("button", { name: "Create token" }).click();
    const secret = await dialog.locator("pre").textContent();
    assert.match(secret ?? "", /^emcp_[0-9a-f]{64}$/);
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.locator('[data-token="a viewer"]').waitFor();
    assert.ok(!(await page.content()).includes(secret ?? "?"));
    await screenshots(page, "tokens");

    const viewer = await visit();
    await signIn(viewer, secret ?? "");
    await viewer.getByRole("heading", { name: "No servers yet" }).waitFor();
    assert.equal(await viewer.getByRole("link", { name: "Tokens" }).count(), 0);
    assert.equal(await viewer.getByRole("link", { name: "Create the first server" }).count(), 0);

    const complaints = opened.at(-1)?.complaints ?? [];
    await page.getByRole("button", { name: "Revoke: a viewer" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.locator('[data-token="a viewer"]').waitFor({ state: "detached" });
    await viewer.getByRole("heading", { name: "Please sign in again" }).waitFor();
    assert.ok(complaints.splice(0).every((complaint) => complaint.includes("401")));
  });

  test("language and theme can be chosen, last, and the keyboard has its list", async () => {
    const chinese = await visit({ locale: "zh-CN" });
    await chinese.getByLabel("访问令牌").fill(platform.adminToken);
    await chinese.getByRole("button", { name: "登录" }).click();
    await chinese.getByRole("heading", { name: "还没有服务器" }).waitFor();
    assert.equal(await chinese.locator("html").getAttribute("lang"), "zh-CN");
    await chinese.getByRole("button", { name: "主题" }).click();
    await chinese.getByRole("button", { name: "主题" }).click();
    assert.equal(await chinese.locator("html").getAttribute("data-theme"), "dark");
    await chinese.goto("/#/new");
    await chinese.locator(".cm-editor").waitFor();
    await screenshots(chinese, "create-zh-dark");
    await chinese.reload();
    assert.equal(await chinese.locator("html").getAttribute("data-theme"), "dark");
    await chinese.getByRole("button", { name: "English" }).click();
    await chinese.getByRole("heading", { name: "New server" }).waitFor();
    await chinese.locator("#content h1").click();
    await chinese.keyboard.press("?");
    await chinese.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await chinese.keyboard.press("Escape");
    await chinese.getByRole("dialog").waitFor({ state: "detached" });
  });
});
