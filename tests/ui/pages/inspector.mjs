// Pages of other origins as clients: the MCP Inspector in its direct mode, which
// calls a server from the browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { openInspector } from "../support/inspector.mjs";
import { START_MS } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function inspector(suite) {
  /** @param {{ token?: string, origin?: string }} [options] */
  const open = async ({ token, origin } = {}) => {
    if (!suite.browser) throw new Error("Chromium has not been started");
    const headers = token ? [{ name: "Authorization", value: `Bearer ${token}` }] : [];
    return openInspector(suite.browser, { url: `${suite.platform.publicUrl}/api/inspected/mcp`, headers, origin });
  };
  const running = () => suite.create("inspected", { start: true, wait: START_MS / 1000 });

  test("the Inspector connects directly, lists tools and calls one", async () => {
    await running();
    const page = await open({ token: suite.platform.adminToken });
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByRole("tab", { name: "Tools" }).click();
    await page.getByRole("button", { name: "List Tools" }).click();
    await page.getByText("add", { exact: true }).first().click();
    await page.locator("#a").fill("2");
    await page.locator("#b").fill("40");
    await page.getByRole("button", { name: "Run Tool" }).click();
    await page.getByText("Tool Result: Success").waitFor();
    await page.getByText("42").first().waitFor();
    await page.context().close();
  });

  test("without a token the Inspector shows what is missing", async () => {
    await running();
    const page = await open();
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("takes no OAuth sign-in but an EMCP token").first().waitFor();
    await page.context().close();
  });

  test("a page of an origin that is not allowed reads nothing, with a token or without", async () => {
    await running();
    const page = await open({ origin: "http://localhost:6275" });
    const url = `${suite.platform.publicUrl}/api/inspected/mcp`;
    for (const headers of [{}, { Authorization: `Bearer ${suite.platform.adminToken}` }]) {
      const read = await page.evaluate(
        ([address, sent]) =>
          fetch(/** @type {string} */ (address), { method: "POST", headers: { "Content-Type": "application/json", .../** @type {object} */ (sent) }, body: "{}" }).then(
            async (answer) => `read: ${await answer.text()}`,
            (/** @type {unknown} */ error) => String(error),
          ),
        [url, headers],
      );
      assert.match(read, /Failed to fetch/);
    }
    await page.context().close();
  });
}
