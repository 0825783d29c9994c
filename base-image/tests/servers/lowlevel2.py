import mcp.types as types
from mcp.server import Server


async def list_tools(ctx, params) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return types.ListToolsResult(tools=[types.Tool(name="greet", description="greets", input_schema=schema)])


async def call_tool(ctx, params) -> types.CallToolResult:
    text = f"你好 {params.arguments['name']}"
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


mcp = Server("kind", on_list_tools=list_tools, on_call_tool=call_tool)
