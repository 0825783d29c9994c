from fastmcp import FastMCP

mcp = FastMCP("kind")


@mcp.tool
def greet(name: str) -> str:
    return f"你好 {name}"
