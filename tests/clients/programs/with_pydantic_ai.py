"""Pydantic AI: the toolset that an agent is given. It takes the transport from the end of the address."""

import asyncio

from conversation import answer, asked
from pydantic_ai.mcp import MCPToolset


async def main() -> None:
    question = asked()
    async with MCPToolset(question.url, headers=question.headers) as toolset:
        tools = [tool.name for tool in await toolset.list_tools()]
        answer(tools, str(await toolset.direct_call_tool(question.tool, question.arguments)))


asyncio.run(main())
