"""LlamaIndex: the tools that an agent is given. It takes the transport from the end of the address."""

import asyncio

from conversation import answer, asked
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main() -> None:
    question = asked()
    spec = McpToolSpec(client=BasicMCPClient(question.url, headers=question.headers))
    tools = {tool.metadata.name: tool for tool in await spec.to_tool_list_async()}
    called = await tools[question.tool].acall(**question.arguments)
    answer(list(tools), called.raw_output.content[0].text)


asyncio.run(main())
