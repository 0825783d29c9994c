"""What the tests of files as people have them share: the files, and what is asked of a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from containers import Answer, Client, Server

FIELD = Path(__file__).with_name("field")
ACCEPT = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}

Start = Callable[..., Server]


def field(name: str) -> str:
    return (FIELD / f"{name}.py").read_text()


def tool_texts(client: Client, server: Server, *calls: tuple[str, dict[str, Any]], transport: str = "http") -> list[str]:
    """The first text of each call's result."""
    reply = client.run(server, transport, *(["call_tool", name, arguments] for name, arguments in calls))
    return [result["content"][0]["text"] for result in reply["results"]]


def tool_names(client: Client, server: Server, transport: str = "http") -> set[str]:
    (listed,) = client.run(server, transport, ["list_tools"])["results"]
    return {tool["name"] for tool in listed["tools"]}


def without_a_session(server: Server) -> Answer:
    return server.request("POST", "/mcp", {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}, ACCEPT)
