import assert from "node:assert/strict";
import { test } from "node:test";
import { fillToken, vscodeLink } from "../../../ui/lib/connection.js";

const HOLD = "YOUR_TOKEN";
const config = { mcpServers: { 演示: { url: "https://h/api/demo/mcp", headers: { Authorization: `Bearer ${HOLD}` } } } };
const base64 = Buffer.from(JSON.stringify(config)).toString("base64");

test("a token is put into configurations, commands and the base64 of links", () => {
  const filled = fillToken({ config, list: [`--header "Bearer ${HOLD}"`], link: `cursor://x/install?name=demo&config=${encodeURIComponent(base64)}`, none: null, n: 1 }, HOLD, "emcp_1");
  assert.equal(filled.config.mcpServers.演示.headers.Authorization, "Bearer emcp_1");
  assert.deepEqual(filled.list, ['--header "Bearer emcp_1"']);
  const parameters = new URL(filled.link).searchParams;
  assert.equal(parameters.get("name"), "demo");
  assert.deepEqual(JSON.parse(Buffer.from(parameters.get("config") ?? "", "base64").toString()), filled.config);
  assert.equal(filled.none, null);
  assert.equal(filled.n, 1);
});

test("a command with a question mark in it stays whole", () => {
  assert.equal(fillToken(`curl https://h/x?a=b?c ${HOLD}`, "NOT_THERE", "t"), `curl https://h/x?a=b?c ${HOLD}`);
});

test("the link for VS Code carries the server, its name, and how to ask for the token", () => {
  const inputs = [{ id: "emcp-token", type: "promptString", password: true }];
  const server = { type: "http", url: "https://h/api/demo/mcp", headers: { Authorization: "Bearer ${input:emcp-token}" } };
  const link = vscodeLink({ servers: { demo: server }, inputs });
  assert.ok(link.startsWith("vscode:mcp/install?"));
  assert.deepEqual(JSON.parse(decodeURIComponent(link.split("?")[1] ?? "")), { name: "demo", ...server, inputs });
});
