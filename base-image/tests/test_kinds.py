"""Every kind of server answers both majors of the MCP client over both transports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from containers import KEY_HEADER, Client, Server

SERVERS = Path(__file__).with_name("servers")

# file, kind, runtime, entry
KINDS = [
    ("sdk1_fastmcp", "fastmcp", "mcp1", "mcp"),
    ("sdk2_mcpserver", "mcpserver", "mcp2", "mcp"),
    ("fastmcp3", "fastmcp", "mcp1", "mcp"),
    ("fastmcp4", "fastmcp", "mcp2", "mcp"),
    ("lowlevel1", "lowlevel", "mcp1", "server"),
    ("lowlevel2", "lowlevel", "mcp2", "mcp"),
    ("lowlevel1_stdio", "lowlevel", "mcp1", "Server in a function"),
    ("lowlevel2_stdio", "lowlevel", "mcp2", "Server in a function"),
    ("unguarded_sdk1", "fastmcp", "mcp1", "service"),
    ("main_sdk2", "mcpserver", "mcp2", "MCPServer in a function"),
    ("main_async_fastmcp", "fastmcp", "mcp2", "FastMCP in a function"),
    ("main_click", "lowlevel", "mcp1", "Server in a function"),
    ("other_name", "fastmcp", "mcp1", "weather_service"),
]


def check_greeting(client: Client, server: Server, transport: str, **options: Any) -> dict[str, Any]:
    reply = client.run(server, transport, ["list_tools"], ["call_tool", "greet", {"name": "世界"}], **options)
    tools, called = reply["results"]
    assert reply["server"] in ("kind", None)
    assert [tool["name"] for tool in tools["tools"]] == ["greet"]
    assert called["content"][0]["text"] == "你好 世界"
    assert not called.get("isError", False)
    return reply


@pytest.mark.parametrize(("file", "kind", "runtime", "entry"), KINDS, ids=[row[0] for row in KINDS])
def test_a_server_of_each_kind_answers_both_clients_over_both_transports(
    start: Callable[..., Server], client1: Client, client2: Client, file: str, kind: str, runtime: str, entry: str
) -> None:
    server = start((SERVERS / f"{file}.py").read_text())
    ready = server.ready()
    assert (ready["kind"], ready["runtime"], ready["entry"], ready["mcp"]) == (kind, runtime, entry, True)
    assert ready["sdk"].startswith("1." if runtime == "mcp1" else "2.")
    health = server.request("GET", "/.emcp/health")
    assert health.status == 200
    expected = {name: value for name, value in ready.items() if name != "event"}
    facts = health.json()
    # What changes with every request is tests/test_usage.py's.
    assert (facts.pop("open_requests"), facts.pop("calls"), facts.pop("idle_ms") >= 0) == (0, 0, True)
    assert facts == {**expected, "status": "ready"}
    for client in (client1, client2):
        for transport in ("http", "sse"):
            check_greeting(client, server, transport)


@pytest.mark.parametrize("file", ["sdk2_mcpserver", "fastmcp4", "lowlevel2"])
def test_version_2_serves_the_revision_without_sessions_and_the_one_with(
    start: Callable[..., Server], client2: Client, file: str
) -> None:
    server = start((SERVERS / f"{file}.py").read_text())
    server.ready()
    assert check_greeting(client2, server, "http", mode="2026-07-28")["protocol"] == "2026-07-28"
    assert check_greeting(client2, server, "http", mode="auto")["protocol"] == "2026-07-28"
    assert check_greeting(client2, server, "http", mode="legacy")["protocol"] == "2025-11-25"


def test_a_fastapi_app_is_served_as_it_is_below_the_prefix(start: Callable[..., Server]) -> None:
    server = start((SERVERS / "fastapi_plain.py").read_text())
    ready = server.ready()
    assert (ready["kind"], ready["entry"], ready["mcp"]) == ("asgi", "app", False)
    answer = server.request("GET", "/hello/x", headers={"X-Emcp-User": "alice", "X-Forwarded-Proto": "https"})
    body = answer.json()
    assert body["url"] == "https://mcp.example.com/api/demo/hello/x"
    assert body["headers"]["x-emcp-user"] == "alice"
    assert KEY_HEADER.lower() not in body["headers"]
    assert "/api/demo/openapi.json" in server.request("GET", "/docs").body
    assert server.request("GET", "/mcp").status == 404


def test_an_mcp_app_mounted_in_fastapi_keeps_its_paths_below_the_prefix(
    start: Callable[..., Server], client1: Client, client2: Client
) -> None:
    server = start((SERVERS / "fastapi_mounted.py").read_text(), EMCP_ENTRY_OBJECT="app")
    ready = server.ready()
    assert (ready["kind"], ready["entry"], ready["mcp"]) == ("asgi", "app", True)
    assert server.request("GET", "/hello").json() == "hello"
    for client in (client1, client2):
        check_greeting(client, server, "http")
    connection, stream = server.open_sse("/tools/sse")
    stream.readline()
    assert stream.readline().startswith(b"data: /api/demo/tools/messages/?session_id=")
    connection.close()


def test_an_app_that_main_hands_to_uvicorn_is_served(start: Callable[..., Server], client2: Client) -> None:
    server = start((SERVERS / "main_uvicorn.py").read_text())
    ready = server.ready()
    assert (ready["kind"], ready["mcp"]) == ("asgi", True)
    assert server.request("GET", "/hello").body == "hello"
    check_greeting(client2, server, "http")


def test_the_runtime_setting_wins_over_the_file(start: Callable[..., Server]) -> None:
    server = start((SERVERS / "fastmcp4.py").read_text(), EMCP_RUNTIME="mcp1")
    assert server.ready()["runtime"] == "mcp1"


def test_the_configured_entry_object_is_served_among_several(start: Callable[..., Server], client1: Client) -> None:
    code = """
from mcp.server.fastmcp import FastMCP
mcp = FastMCP("first")
second = FastMCP("second")
"""
    server = start(code, EMCP_ENTRY_OBJECT="second")
    assert server.ready()["entry"] == "second"
    assert client1.run(server, "http", ["list_tools"])["server"] == "second"
