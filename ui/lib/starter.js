// What an empty editor may begin with.

export const STARTER = `from mcp.server.fastmcp import FastMCP

mcp = FastMCP("My first server")


@mcp.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


if __name__ == "__main__":
    mcp.run()
`;
