import anyio
import click
import mcp.types as types
from mcp.server.lowlevel import Server


@click.command()
@click.option("--transport", type=click.Choice(["stdio", "sse"]), default="stdio")
def main(transport: str) -> int:
    app = Server("kind")

    @app.list_tools()
    async def list_tools() -> list[types.Tool]:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        return [types.Tool(name="greet", description="greets", inputSchema=schema)]

    @app.call_tool()
    async def call_tool(name: str, arguments: dict) -> list[types.TextContent]:
        return [types.TextContent(type="text", text=f"你好 {arguments['name']}")]

    from mcp.server.stdio import stdio_server

    async def arun() -> None:
        async with stdio_server() as streams:
            await app.run(streams[0], streams[1], app.create_initialization_options())

    anyio.run(arun)
    return 0
