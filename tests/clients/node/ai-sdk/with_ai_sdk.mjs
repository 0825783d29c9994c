// The AI SDK: the tools that a model is given. Asked and answering as programs/conversation.py says.
import { readFileSync } from "node:fs";

import { createMCPClient } from "@ai-sdk/mcp";

const question = JSON.parse(readFileSync(0, "utf8"));
const client = await createMCPClient({
  transport: { type: question.transport, url: question.url, headers: question.headers },
});
const tools = await client.tools();
const called = await tools[question.tool].execute(question.arguments, { toolCallId: "1", messages: [] });
await client.close();
process.stdout.write(JSON.stringify({ tools: Object.keys(tools), answer: called.content[0].text }));
