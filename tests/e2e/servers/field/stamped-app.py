# MUST: every answer has X-Stamp: the middleware of the Starlette app that holds the server is around MCP too.
import uvicorn
from fastmcp import FastMCP
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

mcp = FastMCP("stamped")


@mcp.tool
def ping() -> str:
    return "pong"


class Stamp:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def stamped(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-stamp", b"ink")]}
            await send(message)

        await self.app(scope, receive, stamped)


inner = mcp.http_app(path="/mcp")
app = Starlette(routes=[Mount("/", app=inner)], middleware=[Middleware(Stamp)], lifespan=inner.lifespan)

if __name__ == "__main__":
    uvicorn.run("server:app", host="0.0.0.0", port=9001)
