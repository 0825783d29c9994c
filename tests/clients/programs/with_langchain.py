"""LangChain: what `MultiServerMCPClient` makes of a server's tools."""

import asyncio

from conversation import answer, asked
from langchain_mcp_adapters.client import MultiServerMCPClient


async def main() -> None:
    question = asked()
    connection = {"transport": question.transport, "url": question.url, "headers": question.headers}
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"emcp": connection}).get_tools()}
    said = await tools[question.tool].ainvoke(question.arguments)
    answer(list(tools), said if isinstance(said, str) else said[0]["text"])


asyncio.run(main())
