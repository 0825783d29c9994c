// @ts-check
/** Client driver for the official TypeScript SDK, first generation (@modelcontextprotocol/sdk). */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { main, operationsOf, runSteps } from "./scenario.mjs";
import { signIn } from "./sign_in.mjs";

await main("@modelcontextprotocol/sdk", async (scenario) => {
  const url = new URL(scenario.url);
  const requestInit = { headers: scenario.headers };
  const authProvider = scenario.oauth ? signIn(scenario.oauth.token) : undefined;
  const transport =
    scenario.transport === "sse"
      ? new SSEClientTransport(url, { requestInit, authProvider })
      : new StreamableHTTPClientTransport(url, { requestInit, authProvider });
  const client = new Client({ name: "emcp-e2e", version: "1.0.0" });
  try {
    await client.connect(transport);
    const operations = operationsOf(client, (params, options) =>
      client.callTool(/** @type {any} */ (params), undefined, options),
    );
    operations.initialize = () => ({
      protocolVersion: "protocolVersion" in transport ? transport.protocolVersion : undefined,
      serverInfo: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
    });
    return await runSteps(operations, scenario.steps);
  } finally {
    await client.close();
  }
});
