import mcp.types as types
from mcp.server.lowlevel import Server

server = Server("kind")


@server.list_tools()
async def list_tools() -> list[types.Tool]:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return [types.Tool(name="greet", description="greets", inputSchema=schema)]


@server.call_tool()
async def call_tool(name: str, arguments: dict) -> list[types.TextContent]:
    return [types.TextContent(type="text", text=f"你好 {arguments['name']}")]
