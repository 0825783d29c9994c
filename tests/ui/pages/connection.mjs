// How a client connects, and whether it can.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { docker } from "../support/docker.mjs";
import { baseImage } from "../support/settings.mjs";
import { removeHere, START_MS } from "../support/suite.mjs";
import { until } from "../support/waits.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function connection(suite) {
  test("each client has its configuration, with a link where it takes one", async () => {
    await suite.create("linked");
    const page = await suite.visitSignedIn("/servers/linked/connection");
    await page.getByText("YOUR_TOKEN stands for the token.").waitFor();
    await page.getByRole("button", { name: "Make a connect token" }).click();
    await page.getByText("The new token is in the configurations below.").waitFor();
    const token = await page.locator(".copy-box pre").filter({ hasText: /^emcp_[0-9a-f]{64}$/ }).textContent();
    const clients = page.getByRole("group", { name: "Client" });
    const shown = async (/** @type {string} */ client) => {
      await clients.getByRole("button", { name: client }).click();
      return (await page.locator(`pre[aria-label="${client}"]`).textContent()) ?? "";
    };
    const url = `${suite.platform.publicUrl}/api/linked/mcp`;
    assert.equal(JSON.parse(await shown("Windsurf")).mcpServers.linked.serverUrl, url);
    assert.equal(JSON.parse(await shown("Windsurf")).mcpServers.linked.headers.Authorization, `Bearer ${token}`);
    assert.match(await shown("Claude Code"), new RegExp(`^claude mcp add --transport http linked ${url} --header "Authorization: Bearer ${token}"$`));
    const cursor = JSON.parse(await shown("Cursor"));
    const cursorLink = new URL((await page.getByRole("link", { name: "Add to Cursor" }).getAttribute("href")) ?? "");
    assert.deepEqual(JSON.parse(Buffer.from(cursorLink.searchParams.get("config") ?? "", "base64").toString()), cursor.mcpServers.linked);
    const vscode = JSON.parse(await shown("VS Code"));
    const vscodeLink = (await page.getByRole("link", { name: "Add to VS Code" }).getAttribute("href")) ?? "";
    assert.deepEqual(JSON.parse(decodeURIComponent(vscodeLink.replace("vscode:mcp/install?", ""))), { name: "linked", ...vscode.servers.linked, inputs: vscode.inputs });
    assert.ok(!vscodeLink.includes(token ?? "?"), "VS Code asks for the token itself");
    await screenshots(page, "connection-clients");

    const made = (await suite.api("/api/tokens")).tokens.find((/** @type {{ name: string }} */ { name }) => name === "connect linked");
    const server = await suite.api("/api/servers/linked");
    assert.equal(made.role, "connect");
    assert.deepEqual(made.servers, [server.id]);

    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download ca.crt" }).click()]);
    assert.equal(file.suggestedFilename(), "emcp-ca.crt");
  });

  test("a server's connect tokens have names of their own, are listed, revoked, and go with it", async () => {
    await suite.create("shared");
    const page = await suite.visitSignedIn("/servers/shared/connection");
    const name = page.getByLabel("Name of the token");
    const make = page.getByRole("button", { name: "Make a connect token" });
    const listed = (/** @type {string} */ token) => page.locator(`[data-token="${token}"]`);
    assert.equal(await name.inputValue(), "connect shared");
    for (const token of ["connect shared", "connect shared 2", "connect shared 3"]) {
      await until(`${token} to be proposed`, async () => (await name.inputValue()) === token);
      await make.click();
      await listed(token).getByText("never used").waitFor();
    }
    const secret = await page.locator('pre[aria-label="Token: connect shared 3"]').textContent();
    assert.match(secret ?? "", /^emcp_[0-9a-f]{64}$/);

    // One that the page cannot know of: another server's.
    await suite.token("Laptop", "viewer");
    await name.fill("laptop");
    await make.click();
    await page.getByText('"laptop" is taken. "laptop 2" is free.').waitFor();
    suite.forgive(page, /409/);
    assert.equal(await name.inputValue(), "laptop 2");
    await screenshots(page, "connection-token-taken");
    await make.click();
    await listed("laptop 2").waitFor();

    // Which is for others too is said, and so what revoking it would do there.
    await suite.create("second");
    await suite.token("for both", /** @type {any} */ ("connect"), { servers: ["shared", "second"] });
    await listed("for both").getByText("for other servers too").waitFor({ timeout: 30_000 });
    await screenshots(page, "connection-tokens");

    await page.getByRole("button", { name: "Revoke: connect shared 2" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await listed("connect shared 2").waitFor({ state: "detached" });
    const names = async () => (await suite.api("/api/tokens")).tokens.map((/** @type {{ name: string }} */ token) => token.name).sort();
    assert.deepEqual(await names(), ["Laptop", "connect shared", "connect shared 3", "for both", "laptop 2"]);

    await removeHere(page, "shared");
    // The list may have been asked for once more while the server went.
    suite.forgive(page, /404/);
    assert.deepEqual(await names(), ["Laptop", "for both"]);
    await suite.create("shared");
    await page.goto("/#/servers/shared/connection");
    await until("the first name to be free again", async () => (await name.inputValue()) === "connect shared");
    await make.click();
    await listed("connect shared").waitFor();
    await suite.remove("second", "shared");
    suite.forgive(page, /404/);
    assert.deepEqual(await names(), ["Laptop"], "a token ends with the last server that it is for");
  });

  test("a Debian that does as told trusts EMCP, and before that it does not", async () => {
    await suite.create("trusted");
    const page = await suite.visitSignedIn("/servers/trusted/connection");
    await page.getByText("How to trust it").click();
    const command = await page.locator('pre[aria-label="Debian, Ubuntu"]').textContent();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download ca.crt" }).click()]);
    const folder = path.join(suite.platform.runDir, "trust");
    await file.saveAs(path.join(folder, file.suggestedFilename()));
    const ask = `python3 -c 'from urllib.request import urlopen; print(urlopen("${suite.platform.publicUrl}/healthz").status)'`;
    const untrusted = "CERTIFICATE_VERIFY_FAILED";
    // The user of the container is root, and there is no sudo in it.
    const script = `sudo() { "$@"; }; cd /tmp; cp /given/* .; ${ask} 2>&1 | grep -o -m1 ${untrusted}; ${command}; ${ask}`;
    const container = ["--rm", "--name", `${suite.platform.instance}-trust`, "--network", "host", "--user", "0", "--volume", `${folder}:/given:ro`];
    const said = await docker("run", ...container, "--entrypoint", "sh", baseImage(), "-ec", script);
    assert.deepEqual([said.at(0), said.at(-1)], [untrusted, "200"]);
  });

  test("the connection is tested step by step, through the public address", async (context) => {
    const { paths } = await suite.api("/api/openapi.json");
    if (!paths["/api/servers/{id}/test"]) return context.skip("this EMCP cannot test a connection yet");
    await suite.create("tested", { start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/tested/connection");
    const panel = page.getByRole("region", { name: "Test the connection" });
    await panel.getByRole("button", { name: "Test now" }).click();
    await panel.getByText("this browser reached EMCP by the public address.").waitFor({ timeout: START_MS });
    assert.deepEqual(await panel.locator("[data-step]").evaluateAll((steps) => steps.map((step) => [step.getAttribute("data-step"), step.getAttribute("data-state")])), [
      ["resolve", "good"],
      ["tls", "good"],
      ["gate", "good"],
      ["initialize", "good"],
      ["list_tools", "good"],
      ["public", "good"],
    ]);
    await panel.getByText(`At ${suite.platform.publicUrl}/api/tested/mcp the gate turns away who has no token`).waitFor();
    await screenshots(page, "connection-tested");
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByText("共 2 个工具。").waitFor();
    await page.getByText("没有令牌的请求会被网关拒绝，符合预期。").waitFor();
    await page.getByRole("button", { name: "English" }).click();
    await panel.getByText("2 tools.").waitFor();
    await suite.api("/api/servers/tested/action?wait=30", { method: "POST", data: { action: "stop" } });
    await panel.getByRole("button", { name: "Test again" }).click();
    await panel.getByText("The connection failed.").waitFor({ timeout: START_MS });
    await panel.locator('[data-step="initialize"][data-state="bad"]').getByText('The server "tested" is stopped; start it to use it.').waitFor();
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByText("EMCP 没有放行（server_stopped）：服务器已停止。").waitFor();
    await page.getByRole("button", { name: "English" }).click();
    await panel.locator('[data-step="list_tools"][data-state="skipped"]').waitFor();
    await screenshots(page, "connection-refused");
    // That the gate refuses who has no token is what this browser tries.
    suite.forgive(page, /401.*api\/tested\/mcp/);
  });

  test("that a client can connect is not said of an address that was not reached", async () => {
    await suite.create("unreached", { start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/unreached/connection");
    const panel = page.getByRole("region", { name: "Test the connection" });
    // As where the public name leads nowhere from here.
    await page.route("**/api/unreached/mcp", (route) => route.abort());
    await panel.getByRole("button", { name: "Test now" }).click();
    await panel.getByText("this browser did not reach EMCP by the public address.").waitFor({ timeout: START_MS });
    await panel.locator('[data-step="public"][data-state="bad"]').getByText("Nothing answers at").waitFor();
    await panel.locator('[data-step="list_tools"][data-state="good"]').waitFor();
    assert.equal(await panel.locator(".notice.good").count(), 0);
    suite.forgive(page, /ERR_FAILED.*api\/unreached\/mcp/);
    // Or where something else answers there.
    await page.unrouteAll();
    await page.route("**/api/unreached/mcp", (route) => route.fulfill({ status: 200, body: "hello" }));
    await panel.getByRole("button", { name: "Test again" }).click();
    await panel.locator('[data-step="public"][data-state="bad"]').getByText("something answered with 200").waitFor({ timeout: START_MS });
    await page.unrouteAll();
    // Or where this page is not open at the public address.
    await page.route("**/api/servers/*/connection", async (route) => {
      const answer = await route.fetch();
      const connection = await answer.json();
      await route.fulfill({ response: answer, json: { ...connection, urls: { ...connection.urls, mcp: "https://mcp.example/api/unreached/mcp" } } });
    });
    await page.reload();
    await panel.getByRole("button", { name: "Test now" }).click();
    await panel.getByText("The public address itself was not tried.").waitFor({ timeout: START_MS });
    await panel.locator('[data-step="public"][data-state="skipped"]').getByText("https://mcp.example/api/unreached/mcp cannot be tried").waitFor();
    await screenshots(page, "connection-untried");
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByText("公开地址本身没有测试。").waitFor();
  });
}
