"""The OpenAI Agents SDK: the servers that an agent is given."""

import asyncio

from agents.mcp import MCPServerSse, MCPServerStreamableHttp
from conversation import answer, asked


async def main() -> None:
    question = asked()
    kind = MCPServerSse if question.transport == "sse" else MCPServerStreamableHttp
    async with kind(params={"url": question.url, "headers": question.headers}) as server:
        tools = [tool.name for tool in await server.list_tools()]
        called = await server.call_tool(question.tool, question.arguments)
        answer(tools, called.content[0].text)


asyncio.run(main())
