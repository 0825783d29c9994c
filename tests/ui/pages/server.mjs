// Creating a server, and its own page with all tabs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { docker } from "../support/docker.mjs";
import { CALCULATOR, removeHere, SIGNER, START_MS, waitForStatus, writeCode } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function server(suite) {
  test("a pasted server runs, shows its log, takes a secret, connects, stops and is deleted", async () => {
    const page = await suite.visitSignedIn();
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
    await page.getByText("No line matches, in all that is kept.").waitFor();

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
    const url = `${suite.platform.publicUrl}/api/signer/mcp`;
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
    await removeHere(page, "signer");
  });

  test("a syntax error is shown with its line, the traceback, and a mark in the editor", async () => {
    const page = await suite.visitSignedIn();
    await suite.create("broken", { code: CALCULATOR.replace("return a + b", "return a +"), start: true });
    await page.getByRole("link", { name: "broken", exact: true }).click();
    await waitForStatus(page, "error");
    const failure = page.getByLabel("Last failure");
    await failure.getByRole("heading", { name: "Syntax error" }).waitFor();
    await failure.getByText("SyntaxError: invalid syntax").last().waitFor();
    await screenshots(page, "server-error", { image: "server-error" });
    await failure.getByRole("link", { name: "Show line 13" }).click();
    await page.locator(".cm-lint-marker-error").waitFor();
    await page.locator(".cm-line .cm-lintRange-error", { hasText: "return a +" }).waitFor();
    await screenshots(page, "server-code");
    await page.getByRole("textbox", { name: "Code of broken" }).click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(CALCULATOR);
    await page.getByRole("button", { name: "Save and restart" }).click();
    await waitForStatus(page, "running");
    await page.getByRole("navigation", { name: "broken" }).getByRole("link", { name: "Overview" }).click();
    await page.getByText("Version 2", { exact: true }).waitFor();
    await removeHere(page, "broken");
  });

  test("a failure that EMCP has mended is told as past, and in the reader's language", async () => {
    await suite.create("hurt", { start: true, wait: START_MS / 1000 });
    const { container_id } = await suite.api("/api/servers/hurt");
    const page = await suite.visitSignedIn("/servers/hurt");
    const chinese = await suite.visitSignedIn("/servers/hurt", { locale: "zh-CN" });
    await waitForStatus(page, "running");
    assert.equal(await page.getByLabel("Last failure").count(), 0);
    await docker("kill", container_id);

    const failure = page.getByLabel("Last failure");
    await failure.getByText("restarted by itself since").waitFor({ timeout: START_MS });
    await waitForStatus(page, "running");
    await failure.getByRole("heading", { name: "Last failure: The server ended" }).waitFor();
    await failure.getByText("The server was killed (exit code 137), not for want of memory.").waitFor();
    assert.ok(await failure.locator("time").getAttribute("title"));
    assert.match((await failure.getAttribute("class")) ?? "", /past-error/);
    assert.equal(await page.locator(".last-error").count(), 0);
    await page.getByText("The server was killed (exit code 137), not for want of memory; it is started again.").first().waitFor();

    const past = chinese.getByLabel("最近一次故障");
    await past.getByText("之后已自动重启").waitFor({ timeout: START_MS });
    await past.getByText("服务器被强制终止（退出码 137），但不是因为内存不足。").waitFor();
    await chinese.locator(".history").getByText("服务器被强制终止（退出码 137），但不是因为内存不足；正在重新启动。").waitFor();
    await chinese.locator(".history").getByText("已创建。").waitFor();
    await chinese.getByText("已应答 MCP，路由已生效。").first().waitFor();

    // A wish of a person's begins anew.
    await page.getByRole("button", { name: "Restart: hurt" }).click();
    await failure.waitFor({ state: "detached", timeout: START_MS });
    await waitForStatus(page, "running");
  });
}
