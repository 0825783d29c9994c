"""A host that knows only local servers, over stdio: the official client, which starts the command it is given."""

import asyncio
import os
import sys

from conversation import answer, asked
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    question = asked()
    command, *arguments = sys.argv[1:]
    parameters = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        called = await session.call_tool(question.tool, question.arguments)
        answer(tools, called.content[0].text)


asyncio.run(main())
