from contextlib import asynccontextmanager

from fastapi import FastAPI
from mcp.server.fastmcp import FastMCP

tools = FastMCP("kind", streamable_http_path="/")


@tools.tool()
def greet(name: str) -> str:
    return f"你好 {name}"


http_app = tools.streamable_http_app()


@asynccontextmanager
async def lifespan(app):
    async with tools.session_manager.run():
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
def hello() -> str:
    return "hello"


app.mount("/mcp", http_app)
app.mount("/tools", tools.sse_app())
