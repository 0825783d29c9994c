# MUST: GET /api/NAME/stock answers JSON beside MCP, and what the app's own lifespan made is there.
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from fastmcp import FastMCP

mcp = FastMCP("store")
shelves: dict[str, int] = {}


@mcp.tool
def count(item: str) -> int:
    return shelves[item]


mcp_app = mcp.http_app(path="/")


@asynccontextmanager
async def lifespan(app: FastAPI):
    shelves["bolt"] = 7
    async with mcp_app.lifespan(app):
        yield


api = FastAPI(lifespan=lifespan)


@api.get("/stock")
def stock() -> dict[str, int]:
    return shelves


api.mount("/mcp", mcp_app)

if __name__ == "__main__":
    uvicorn.run(api, port=9002)
