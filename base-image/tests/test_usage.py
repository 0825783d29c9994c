"""What the health page tells of use: by it EMCP decides whether a server may sleep."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from containers import KEY_HEADER, Server, wait_until
from test_gateway import ACCEPT, INITIALIZE

from emcp_bootstrap.apps import Message, Receive, Scope, Send
from emcp_bootstrap.usage import Usage

# Two tools, so that a call lasts exactly as long as the test wants.
HOLDING = """
import anyio
from {module} import {name}
mcp = {name}('x')
released = anyio.Event()
@mcp.tool()
async def hold() -> str:
    print('holding')
    await released.wait()
    return 'released'
@mcp.tool()
async def release() -> str:
    released.set()
    return ''
"""
SDKS = {
    "mcp1": HOLDING.format(module="mcp.server.fastmcp", name="FastMCP"),
    "mcp2": HOLDING.format(module="mcp.server.mcpserver", name="MCPServer"),
    "fastmcp": HOLDING.format(module="fastmcp", name="FastMCP"),
}
APP = """
import asyncio
from fastapi import BackgroundTasks, FastAPI, WebSocket
app = FastAPI()
released = asyncio.Event()
@app.get('/fail')
async def fail():
    raise RuntimeError('as a mistake does')
@app.get('/release')
async def release():
    released.set()
@app.get('/after')
async def after(tasks: BackgroundTasks):
    tasks.add_task(released.wait)
    return 'answered'
@app.websocket('/ws')
async def ws(socket: WebSocket):
    await socket.accept()
    await socket.receive_text()
"""


def usage(server: Server) -> tuple[int, int]:
    facts = server.request("GET", "/.emcp/health").json()
    return facts["open_requests"], facts["idle_ms"]


def wait_open(server: Server, count: int) -> None:
    wait_until(lambda: usage(server)[0] == count, f"{count} open requests")


def post(server: Server, body: Any, headers: dict[str, str]) -> http.client.HTTPConnection:
    """Sends a message to /mcp and leaves the answer unread."""
    connection = server.connection()
    sent = {"Content-Type": "application/json", KEY_HEADER: server.key, **ACCEPT, **headers}
    connection.request("POST", "/mcp", json.dumps(body), sent)
    return connection


def call(tool: str) -> dict[str, Any]:
    # The SDKs answer by id, so calls that go on side by side need different ones.
    return {"jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


def open_session(server: Server) -> dict[str, str]:
    answer = server.request("POST", "/mcp", INITIALIZE, ACCEPT)
    session = {"mcp-session-id": answer.headers["mcp-session-id"]}
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert server.request("POST", "/mcp", initialized, {**ACCEPT, **session}).status == 202
    return session


@pytest.mark.parametrize("sdk", SDKS)
def test_streams_and_calls_count_until_their_end(start: Callable[..., Server], sdk: str) -> None:
    server = start(SDKS[sdk])
    server.ready()
    assert usage(server)[0] == 0

    # The stream of the old transport, and the one a client of the new one listens on.
    sse, stream = server.open_sse()
    assert stream.readline() == b"event: endpoint\r\n"
    assert usage(server) == (1, 0)
    session = open_session(server)
    listening = server.connection()
    listening.request("GET", "/mcp", headers={KEY_HEADER: server.key, **ACCEPT, **session})
    assert listening.getresponse().status == 200
    assert usage(server) == (2, 0)
    held = post(server, call("hold"), session)
    wait_until(lambda: "holding" in server.log, "the tool was called")
    assert usage(server) == (3, 0)

    # A client that goes away, and one whose call ends.
    sse.close()
    wait_open(server, 2)
    listening.close()
    wait_open(server, 1)
    post(server, call("release"), session).getresponse().read()
    assert b"released" in held.getresponse().read()
    held.close()
    wait_open(server, 0)
    first = usage(server)[1]
    wait_until(lambda: usage(server)[1] > first, "the idle time rises while only the health page is asked")


@pytest.mark.parametrize("sdk", SDKS)
def test_a_call_whose_client_went_away_does_not_count_for_ever(start: Callable[..., Server], sdk: str) -> None:
    server = start(SDKS[sdk])
    server.ready()
    session = open_session(server)
    held = post(server, call("hold"), session)
    wait_until(lambda: "holding" in server.log, "the tool was called")
    held.close()
    post(server, call("release"), session).getresponse().read()
    wait_open(server, 0)


def test_failed_refused_and_background_requests(start: Callable[..., Server]) -> None:
    server = start(APP)
    server.ready()
    assert server.request("GET", "/fail").status == 500
    assert server.request("GET", "/nowhere").status == 404
    assert usage(server)[0] == 0

    # What the answer leaves behind is work of the server like the answer.
    connection = server.connection()
    connection.request("GET", "/after", headers={KEY_HEADER: server.key})
    assert connection.getresponse().status == 200
    assert usage(server)[0] == 1
    server.request("GET", "/release")
    wait_open(server, 0)
    connection.close()

    # Who has no key does not keep the server awake.
    idle_before = usage(server)[1]
    assert server.request("GET", "/release", key=None).status == 403
    assert usage(server)[1] >= idle_before


def test_a_websocket_counts_until_it_is_closed(start: Callable[..., Server]) -> None:
    server = start(APP)
    server.ready()
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    connection = server.connection()
    connection.request("GET", "/ws", headers={**handshake, KEY_HEADER: server.key})
    assert connection.getresponse().status == 101
    assert usage(server)[0] == 1
    connection.close()
    wait_open(server, 0)


def test_an_app_that_is_cancelled_or_fails_counts_no_longer() -> None:
    now = 0.0
    counter = Usage(clock=lambda: now)

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        pass

    async def scenario() -> None:
        nonlocal now
        task = asyncio.create_task(counter.counted(endless, {}, receive, send))
        await asyncio.sleep(0)
        now = 10.0
        assert counter.report() == {"open_requests": 1, "idle_ms": 0}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        now = 12.5
        assert counter.report() == {"open_requests": 0, "idle_ms": 2500}
        with pytest.raises(ValueError):
            await counter.counted(failing, {}, receive, send)
        assert counter.report() == {"open_requests": 0, "idle_ms": 0}

    asyncio.run(scenario())
