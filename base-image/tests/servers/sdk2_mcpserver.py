from __future__ import annotations

from mcp.server.mcpserver import MCPServer

mcp = MCPServer("kind")


@mcp.tool()
def greet(name: str) -> str:
    return f"你好 {name}"


if __name__ == "__main__":
    mcp.run()
