"""A REST service and an MCP server in one FastAPI app. Set the entry object to `app`.

People use GET /tickets (with its OpenAPI page at /docs), AI clients use /mcp.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel


class Ticket(BaseModel):
    number: int
    subject: str
    is_open: bool = True


_tickets: dict[int, Ticket] = {}
tools = MCPServer("Ticket desk")


@tools.tool()
def open_ticket(subject: str) -> Ticket:
    """Open a ticket."""
    ticket = Ticket(number=len(_tickets) + 1, subject=subject)
    _tickets[ticket.number] = ticket
    return ticket


@tools.tool()
def close_ticket(number: int) -> Ticket:
    """Close a ticket."""
    if number not in _tickets:
        raise ValueError(f"there is no ticket {number}")
    _tickets[number].is_open = False
    return _tickets[number]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with tools.session_manager.run():
        yield


mcp_app = tools.streamable_http_app()
app = FastAPI(title="Ticket desk", lifespan=lifespan)


@app.get("/tickets")
def tickets() -> list[Ticket]:
    return list(_tickets.values())


@app.get("/tickets/{number}")
def ticket(number: int) -> Ticket:
    if number not in _tickets:
        raise HTTPException(404, f"there is no ticket {number}")
    return _tickets[number]


# Last, since it takes every path that is left: /mcp.
app.mount("/", mcp_app)
