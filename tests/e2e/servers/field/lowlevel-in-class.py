# MUST: lists `echo`: server and handlers are made in run(), which the guard calls; nothing stands at module level.
import anyio
import mcp.server.stdio
from mcp import types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions


class Program:
    async def run(self) -> None:
        server = Server("in a class")

        @server.list_tools()
        async def tools() -> list[types.Tool]:
            schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
            return [types.Tool(name="echo", description="", inputSchema=schema)]

        @server.call_tool()
        async def call(name: str, arguments: dict) -> list[types.TextContent]:
            return [types.TextContent(type="text", text=arguments["text"])]

        options = InitializationOptions(
            server_name="in a class",
            server_version="1",
            capabilities=server.get_capabilities(NotificationOptions(), {}),
        )
        async with mcp.server.stdio.stdio_server() as (read, write):
            await server.run(read, write, options)


if __name__ == "__main__":
    anyio.run(Program().run)
