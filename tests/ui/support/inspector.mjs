// The MCP Inspector's page, as its authors publish it: fetched once, by its hash,
// and served to Chromium as if from its usual address, since Chromium reaches
// nothing but the platform.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const PACKAGE = "@modelcontextprotocol/inspector-client@1.0.3";
const SHA512 = "94xOP+Cwf7rMbT5qt7guEAN9T9aDGv90cI8QVg2MmsFoUX1jmo6cQy3KQ11UnTenssBFYRK0GwXz27AwZ3w2qg==";
/** Where the Inspector is, unless it is told otherwise. */
export const INSPECTOR_ORIGIN = "http://localhost:6274";
const TYPES = /** @type {Record<string, string>} */ ({ ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" });

/** The folder with its page; downloaded where it is missing. */
export async function inspectorPage() {
  const cache = process.env.EMCP_CACHE_DIR ?? path.join(os.homedir(), ".cache", "emcp");
  const home = path.join(cache, "inspector", PACKAGE.replace(/.*@/, ""));
  if (!existsSync(home)) {
    mkdirSync(path.dirname(home), { recursive: true });
    const folder = mkdtempSync(`${home}-`);
    await run("npm", ["pack", PACKAGE, "--silent", "--pack-destination", folder]);
    const [name] = readdirSync(folder);
    const archive = path.join(folder, name ?? "");
    const hash = createHash("sha512").update(readFileSync(archive)).digest("base64");
    assert.equal(hash, SHA512, `${PACKAGE} is another file than the one that was tested`);
    await run("tar", ["-xzf", archive, "-C", folder]);
    try {
      renameSync(folder, home);
    } catch (error) {
      // Another run was faster.
      rmSync(folder, { recursive: true });
      if (!existsSync(home)) throw error;
    }
  }
  return path.join(home, "package", "dist");
}

/**
 * A page of Chromium in which the Inspector is open.
 * @param {import("playwright-core").Browser} browser
 * @param {{ url: string, headers: { name: string, value: string }[], origin?: string }} options
 *   the server and what to send it; the address the page is to have, if another
 */
export async function openInspector(browser, { url, headers, origin = INSPECTOR_ORIGIN }) {
  const dist = await inspectorPage();
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  await context.route(`${origin}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const file = path.join(dist, pathname === "/" ? "index.html" : pathname);
    if (!file.startsWith(dist) || !existsSync(file)) return route.fulfill({ status: 404, body: "" });
    return route.fulfill({ contentType: TYPES[path.extname(file)] ?? "application/octet-stream", body: readFileSync(file) });
  });
  // Chromium asks a person whether a page may call this machine or its network.
  await context.grantPermissions(["local-network-access"], { origin });
  const kept = headers.map((header) => ({ ...header, enabled: true }));
  await context.addInitScript(
    ([address, sent]) => {
      localStorage.setItem("lastTransportType", "streamable-http");
      localStorage.setItem("lastConnectionType", "direct");
      localStorage.setItem("lastSseUrl", address ?? "");
      localStorage.setItem("lastCustomHeaders", sent ?? "[]");
    },
    [url, JSON.stringify(kept)],
  );
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`${origin}/`);
  return page;
}
