// One platform and one Chromium for all tests of the dashboard, and what the
// tests do with them again and again.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { launch, openPage } from "./browser.mjs";
import { Platform } from "./platform.mjs";
import { REPO } from "./settings.mjs";
import { until } from "./waits.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ method?: string, data?: unknown, token?: string }} Call */

/** A start takes seconds; on a busy machine, more of them. */
export const START_MS = 90_000;

export const CALCULATOR = readFileSync(path.join(REPO, "examples/calculator.py"), "utf8");
export const SIGNER = readFileSync(path.join(REPO, "examples/webhook_signer.py"), "utf8");

export class Suite {
  constructor() {
    /** @type {Awaited<ReturnType<typeof openPage>>[]} */
    this.opened = [];
    /** @type {Platform | null} */
    this.running = null;
    /** @type {import("playwright-core").Browser | null} */
    this.browser = null;
  }

  async start() {
    this.running = await Platform.start();
    this.browser = await launch(this.running);
  }

  async stop() {
    await this.browser?.close();
    await this.running?.stop();
  }

  get platform() {
    if (!this.running) throw new Error("the platform has not been started");
    return this.running;
  }

  /**
   * After each test: closes its pages, removes its servers and tokens, and
   * fails it for what the pages complained of.
   * @param {(words: string) => void} [tell]
   */
  async closePages(tell) {
    const opened = this.opened.splice(0);
    // A test that failed has told why; what the pages said may tell more.
    for (const { page, complaints } of opened) {
      if (complaints.length > 0) tell?.(`${page.url()}: ${complaints.join("\n")}`);
    }
    for (const { context } of opened) await context.close();
    const { servers } = await this.api("/api/servers");
    for (const { id } of servers) await this.api(`/api/servers/${id}`, { method: "DELETE" });
    const { tokens } = await this.api("/api/tokens");
    for (const { id } of tokens.filter((/** @type {{ name: string }} */ token) => token.name !== "admin")) await this.api(`/api/tokens/${id}`, { method: "DELETE" });
    assert.deepEqual(opened.flatMap((one) => one.complaints), []);
  }

  /**
   * Takes back what a page complained of, where that is the point of the test.
   * @param {Page} page
   * @param {RegExp} expected
   */
  forgive(page, expected) {
    const complaints = this.opened.find((one) => one.page === page)?.complaints ?? [];
    for (const complaint of complaints.splice(0)) assert.match(complaint, expected);
  }

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  async open(options) {
    if (!this.browser) throw new Error("Chromium has not been started");
    const one = await openPage(this.browser, this.platform.publicUrl, options);
    this.opened.push(one);
    return one.page;
  }

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  async visit(options) {
    const page = await this.open(options);
    await page.goto("/");
    return page;
  }

  /**
   * @param {Page} page
   * @param {string} [token]
   */
  async signIn(page, token = this.platform.adminToken) {
    await page.getByLabel("Access token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  /**
   * A page of somebody who has signed in already.
   * @param {string} [address] behind "#"
   * @param {import("playwright-core").BrowserContextOptions & { token?: string }} [options]
   */
  async visitSignedIn(address = "/servers", { token = this.platform.adminToken, ...options } = {}) {
    const page = await this.open(options);
    const answer = await page.request.post("/api/session", { data: { token }, headers: { Origin: this.platform.publicUrl } });
    assert.equal(answer.status(), 200);
    await page.goto(`/#${address}`);
    await page.locator("#content h1").first().waitFor();
    return page;
  }

  /**
   * A call of the API, around the browser.
   * @param {string} address
   * @param {Call} [options]
   */
  async api(address, { method = "GET", data, token = this.platform.adminToken } = {}) {
    const answer = await fetch(`${this.platform.upstreamUrl}${address}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: data === undefined ? undefined : JSON.stringify(data),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${address}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /**
   * @param {string} name
   * @param {{ code?: string, description?: string, start?: boolean, wait?: number, token?: string, env?: object[], sleep?: object, entry_object?: string }} [options]
   */
  async create(name, { code = CALCULATOR, start = false, wait = 0, token, ...more } = {}) {
    return this.api(`/api/servers${wait > 0 ? `?wait=${wait}` : ""}`, { method: "POST", data: { name, code, start, ...more }, token });
  }

  /** @param {string[]} names */
  async remove(...names) {
    for (const name of names) await this.api(`/api/servers/${name}`, { method: "DELETE" });
  }

  /**
   * A token of its own for a test.
   * @param {string} name
   * @param {"viewer" | "developer" | "admin"} role
   * @param {object} [more]
   */
  async token(name, role, more = {}) {
    const made = await this.api("/api/tokens", { method: "POST", data: { name, role, ...more } });
    /** @type {{ id: string, token: string }} */
    const token = { id: made.id, token: made.token };
    return token;
  }

  /**
   * @param {string} name
   * @param {string} status
   */
  async waitForServer(name, status) {
    await until(`${name} to be ${status}`, async () => (await this.api(`/api/servers/${name}`)).status === status, START_MS / 1000);
  }
}

/**
 * @param {Page} page
 * @param {string} status
 */
export async function waitForStatus(page, status) {
  await page.locator(`.server-title .status[data-status="${status}"]`).waitFor({ timeout: START_MS });
}

/**
 * @param {Page} page
 * @param {string} code
 */
export async function writeCode(page, code) {
  const editor = page.getByRole("textbox", { name: "Python code" });
  await page.locator(".cm-editor").waitFor();
  await editor.fill(code);
}

/**
 * Deletes the server whose page is open.
 * @param {Page} page
 * @param {string} name
 */
export async function removeHere(page, name) {
  await page.getByRole("button", { name: `Delete: ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
  await page.locator(`[data-server="${name}"]`).waitFor({ state: "detached" });
}
