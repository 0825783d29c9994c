# MUST: with entry object build, the coroutine function is awaited, and the low-level server it returns is served.
import asyncio

from mcp import types
from mcp.server import Server


async def build() -> Server:
    await asyncio.sleep(0)

    async def list_tools(ctx, params) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name="ping", input_schema={"type": "object"})])

    async def call_tool(ctx, params) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text="pong")])

    return Server("made late", on_list_tools=list_tools, on_call_tool=call_tool)
