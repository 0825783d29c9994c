import asyncio
from contextlib import asynccontextmanager

from fastmcp import FastMCP

is_open = False


@asynccontextmanager
async def connection():
    global is_open
    is_open = True
    yield
    is_open = False
    print("the connection was closed")


async def main():
    server = FastMCP("kind")

    @server.tool
    def greet(name: str) -> str:
        # The connection that main() holds has to stay open while the server serves.
        return f"你好 {name}" if is_open else "the connection is closed"

    async with connection():
        await server.run_async(transport="stdio")


if __name__ == "__main__":
    asyncio.run(main())
