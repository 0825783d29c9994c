// What a server that answers nothing, and one that is no MCP server, are said to be.

import assert from "node:assert/strict";
import { test } from "node:test";
import { docker } from "../support/docker.mjs";
import { START_MS } from "../support/suite.mjs";

const PLAIN_APP = `
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
def hello():
    return "hello"
`;

/** @param {import("../support/suite.mjs").Suite} suite */
export default function liveness(suite) {
  test("a server that answers nothing needs attention until it answers again", async () => {
    await suite.create("silent", { start: true, wait: 60 });
    const { container_id: container } = await suite.api("/api/servers/silent");
    // What the container's init has started is the server.
    const signal = (/** @type {string} */ name) => docker("exec", container, "sh", "-c", `kill -${name} $(cat /proc/1/task/1/children)`);
    const page = await suite.visitSignedIn("/overview");
    await signal("STOP");
    const item = page.getByRole("region", { name: /^(Needs attention|需要处理)$/ }).locator('[data-server="silent"]');
    await item.locator('.status[data-status="unresponsive"]').waitFor({ timeout: START_MS });
    await item.getByText("Its container runs, and it answers nothing, though no call runs in it.").waitFor();
    await page.locator('.tile[data-status="unresponsive"] strong', { hasText: "1" }).waitFor();
    await page.getByRole("button", { name: "中文" }).click();
    await item.getByText("无响应").waitFor();
    await item.getByText("容器在运行，也没有调用在执行，但它不应答。").waitFor();
    await page.getByRole("button", { name: "English" }).click();
    await signal("CONT");
    await item.waitFor({ state: "detached", timeout: START_MS });
    await suite.remove("silent");
  });

  test("an app without MCP is not offered to MCP clients", async () => {
    await suite.create("plain", { code: PLAIN_APP, entry_object: "app", start: true, wait: 60 });
    const page = await suite.visitSignedIn("/servers/plain");
    await page.getByText("It serves HTTP and has no MCP endpoint; its route is live.").first().waitFor({ timeout: START_MS });
    await page.goto("/#/servers/plain/connection");
    await page.getByText("MCP clients cannot use it.").waitFor();
    const base = `${suite.platform.publicUrl}/api/plain/`;
    assert.equal(await page.locator('pre[aria-label="App"]').textContent(), base);
    assert.match((await page.locator('pre[aria-label="curl"]').textContent()) ?? "", new RegExp(`^curl .*${base}$`));
    assert.equal(await page.getByText("/api/plain/mcp").count(), 0);
    assert.equal(await page.getByRole("heading", { name: "Set up a client" }).count(), 0);
    await suite.remove("plain");
  });
}
