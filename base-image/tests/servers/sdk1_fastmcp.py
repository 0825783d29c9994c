from mcp.server.fastmcp import FastMCP

mcp = FastMCP("kind", host="127.0.0.1", port=1234, streamable_http_path="/elsewhere", sse_path="/events", mount_path="/x")


@mcp.tool()
def greet(name: str) -> str:
    return f"你好 {name}"


if __name__ == "__main__":
    mcp.run()
