"""Gateway key, health, prefix and canonical paths, on a real container."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from containers import KEY_HEADER, Server

SERVERS = Path(__file__).with_name("servers")
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("file", ["sdk1_fastmcp", "sdk2_mcpserver", "fastapi_plain"])
def test_every_path_needs_the_gateway_key(start: Callable[..., Server], file: str) -> None:
    server = start((SERVERS / f"{file}.py").read_text(), key="the-key")
    server.ready()
    for method, path in [("GET", "/sse"), ("POST", "/mcp"), ("GET", "/.emcp/health"), ("POST", "/messages/"), ("GET", "/hello/x")]:
        for key in (None, "the-ke", "the-keyy", "\xff"):
            answer = server.request(method, path, key=key)
            assert (answer.status, answer.json()["error"]["code"]) == (403, "gateway_key_required")
    assert server.request("GET", "/.emcp/health").status == 200
    assert "the-key" not in server.text_log


def test_a_websocket_without_the_key_is_refused(start: Callable[..., Server]) -> None:
    server = start((SERVERS / "fastapi_plain.py").read_text())
    server.ready()
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    assert server.request("GET", "/ws", headers=handshake, key=None).status == 403
    connection = server.connection()
    connection.request("GET", "/ws", headers={**handshake, KEY_HEADER: server.key})
    assert connection.getresponse().status == 101
    connection.close()


def test_user_code_does_not_see_the_key(start: Callable[..., Server]) -> None:
    code = """
import os
from fastapi import FastAPI
app = FastAPI()
keys = sorted(name for name in os.environ if name.startswith('EMCP_'))
@app.get('/keys')
def get_keys():
    return keys
"""
    server = start(code)
    server.ready()
    assert server.request("GET", "/keys").json() == ["EMCP_PATH_PREFIX", "EMCP_SERVER_NAME"]


def test_without_a_key_everything_is_answered_and_a_warning_is_logged(start: Callable[..., Server]) -> None:
    server = start((SERVERS / "sdk1_fastmcp.py").read_text(), key="")
    server.ready()
    assert server.request("GET", "/.emcp/health", key=None).status == 200
    assert any("no gateway key" in line for line in server.log)


@pytest.mark.parametrize("file", ["sdk1_fastmcp", "sdk2_mcpserver", "fastmcp4", "lowlevel1"])
def test_paths_below_the_prefix(start: Callable[..., Server], file: str) -> None:
    server = start((SERVERS / f"{file}.py").read_text())
    server.ready()
    for path in ("/mcp", "/mcp/"):
        answer = server.request("POST", path, INITIALIZE, ACCEPT)
        assert (answer.status, "protocolVersion" in answer.body) == (200, True), answer
    connection, stream = server.open_sse()
    assert stream.status == 200
    assert stream.readline() == b"event: endpoint\r\n"
    endpoint = stream.readline().decode().removeprefix("data: ").strip()
    assert endpoint.startswith("/api/demo/messages/?session_id=")
    answer = server.request("POST", endpoint.removeprefix("/api/demo"), INITIALIZE)
    assert answer.status == 202
    stream.readline()
    assert stream.readline() == b"event: message\r\n"
    assert b'"protocolVersion"' in stream.readline()
    connection.close()
    assert server.request("GET", "/other").status == 404
    assert server.request("POST", "/sse").status == 405


def test_custom_routes_of_a_server_are_served(start: Callable[..., Server]) -> None:
    code = """
from mcp.server.fastmcp import FastMCP
from starlette.responses import PlainTextResponse
mcp = FastMCP('x')
@mcp.custom_route('/status', methods=['GET'])
async def status(request):
    return PlainTextResponse('fine')
"""
    server = start(code)
    server.ready()
    assert server.request("GET", "/status").body == "fine"
