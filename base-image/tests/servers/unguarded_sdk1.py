from mcp.server.fastmcp import FastMCP

service = FastMCP("kind")


@service.tool()
def greet(name: str) -> str:
    return f"你好 {name}"


try:
    service.run(transport="stdio")
finally:
    print("the file's own clean-up ran")
