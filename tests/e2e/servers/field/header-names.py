# MUST: the tool sees the client's own X-Tenant, and neither the token it came with nor the gateway's key.
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers

mcp = FastMCP("headers")


@mcp.tool
def seen() -> str:
    return " ".join(sorted(f"{name}={value}" for name, value in get_http_headers(include_all=True).items()))


if __name__ == "__main__":
    mcp.run(transport="http")
