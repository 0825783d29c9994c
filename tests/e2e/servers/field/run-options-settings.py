# MUST: a request without a session answers 200 application/json: the settings changed under the guard hold.
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("lamp", host="127.0.0.1", port=8765)


@mcp.tool()
def on() -> str:
    return "on"


if __name__ == "__main__":
    mcp.settings.stateless_http = True
    mcp.settings.json_response = True
    mcp.run(transport="streamable-http")
