// A program of its own that connects as an AI client does: it is given the
// configuration that was copied from the dashboard, reads it as Cherry Studio
// would, and connects with the official SDK. A process of its own, since Node.js
// reads NODE_EXTRA_CA_CERTS when it starts.
//
//   node mcp_client.mjs TOOL ARGUMENTS < configuration.json

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { text } from "node:stream/consumers";

const [, , tool = "", args = "{}"] = process.argv;
/** @type {{ mcpServers: Record<string, { type: string, baseUrl: string, headers: Record<string, string> }> }} */
const { mcpServers } = JSON.parse(await text(process.stdin));
const [server] = Object.values(mcpServers);
if (!server) throw new Error("the configuration has no server");
const url = new URL(server.baseUrl);
const options = { requestInit: { headers: server.headers } };
const transport = server.type === "sse" ? new SSEClientTransport(url, options) : new StreamableHTTPClientTransport(url, options);
const client = new Client({ name: "dashboard-test", version: "1.0.0" });
await client.connect(transport);
const { tools } = await client.listTools();
const answer = await client.callTool({ name: tool, arguments: JSON.parse(args) });
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), answer }));
await client.close();
