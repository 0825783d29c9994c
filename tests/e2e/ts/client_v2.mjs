// @ts-check
/**
 * Client driver for the official TypeScript SDK, second generation (@modelcontextprotocol/client).
 * Over streamable HTTP it asks for the 2026-07-28 revision and falls back to `initialize`.
 */
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { main, operationsOf, runSteps } from "./scenario.mjs";
import { signIn } from "./sign_in.mjs";

await main("@modelcontextprotocol/client", async (scenario) => {
  const url = new URL(scenario.url);
  const requestInit = { headers: scenario.headers };
  const authProvider = scenario.oauth ? signIn(scenario.oauth.token) : undefined;
  const overSse = scenario.transport === "sse";
  const transport = overSse
    ? new SSEClientTransport(url, { requestInit, authProvider })
    : new StreamableHTTPClientTransport(url, { requestInit, authProvider });
  const client = new Client(
    { name: "emcp-e2e", version: "1.0.0" },
    { versionNegotiation: { mode: overSse ? "legacy" : "auto" } },
  );
  try {
    await client.connect(transport);
    const operations = operationsOf(client, (params, options) => client.callTool(/** @type {any} */ (params), options));
    operations.initialize = () => ({
      protocolVersion: client.getNegotiatedProtocolVersion(),
      serverInfo: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
    });
    return await runSteps(operations, scenario.steps);
  } finally {
    await client.close();
  }
});
