import mcp
from mcp.server.fastmcp import FastMCP

weather_service = FastMCP("kind")


@weather_service.tool()
def greet(name: str) -> str:
    return f"你好 {name}"
