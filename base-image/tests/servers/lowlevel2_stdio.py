import anyio
import mcp.types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server


async def list_tools(ctx, params) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return types.ListToolsResult(tools=[types.Tool(name="greet", description="greets", input_schema=schema)])


async def call_tool(ctx, params) -> types.CallToolResult:
    text = f"你好 {params.arguments['name']}"
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


async def main() -> None:
    app = Server("kind", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as streams:
        await app.run(streams[0], streams[1], app.create_initialization_options())


anyio.run(main)
