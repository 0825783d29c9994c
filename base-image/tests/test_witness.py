"""The witness: it says whether a call runs, also where nothing else can."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from containers import Client, Server, wait_until

ANSWER_SECS = 5
BLOCKING = """
import time
from {module} import {name}
mcp = {name}('x')
@mcp.tool()
async def block(seconds: float) -> str:
    print('blocking', flush=True)
    time.sleep(seconds)
    return 'let go'
"""
SDKS = {
    "mcp1": BLOCKING.format(module="mcp.server.fastmcp", name="FastMCP"),
    "mcp2": BLOCKING.format(module="mcp.server.mcpserver", name="MCPServer"),
    "fastmcp": BLOCKING.format(module="fastmcp", name="FastMCP"),
    "fastmcp-mcp2": "import mcp.server.mcpserver\n" + BLOCKING.format(module="fastmcp", name="FastMCP"),
}
APP = """
import time
from fastapi import FastAPI
app = FastAPI()
@app.get('/block')
async def block():
    print('blocking', flush=True)
    time.sleep(3)
"""

CLOSING = """
import os
import socket
from mcp.server.fastmcp import FastMCP
mcp = FastMCP('x')

def is_datagram(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return sock.type == socket.SOCK_DGRAM
    except OSError:
        return False

@mcp.tool()
def close_witness() -> str:
    found = [each for each in map(int, os.listdir('/proc/self/fd')) if is_datagram(each)]
    for descriptor in found:
        os.close(descriptor)
    return f'closed {len(found)}'
"""


def ask(server: Server, question: bytes, patience_secs: float = ANSWER_SECS) -> bytes | None:
    """The answer to one datagram, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience_secs)
        asking.connect((server.ip, 8000))
        asking.send(question)
        try:
            return asking.recv(2048)
        except TimeoutError:
            return None


def is_refused(server: Server) -> bool:
    try:
        ask(server, server.key.encode(), patience_secs=0.5)
    except ConnectionRefusedError:
        return True
    return False


def calls(server: Server) -> int:
    answer = ask(server, server.key.encode())
    assert answer is not None, "the witness is silent"
    told = json.loads(answer)
    assert set(told) == {"calls"}
    return int(told["calls"])


@contextmanager
def blocked(server: Server, client: Client, transport: str) -> Generator[None]:
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(client.run, server, transport, ["call_tool", "block", {"seconds": 3}])
        wait_until(lambda: "blocking" in server.log, "the tool was called")
        yield
        assert "let go" in json.dumps(reply.result())


@pytest.mark.parametrize("transport", ["sse", "http"])
@pytest.mark.parametrize("sdk", SDKS)
def test_a_call_that_blocks_everything_else_is_told(
    start: Callable[..., Server], client1: Client, client2: Client, sdk: str, transport: str
) -> None:
    server = start(SDKS[sdk])
    server.ready()
    assert calls(server) == 0
    with blocked(server, client2 if "mcp2" in sdk else client1, transport):
        assert calls(server) >= 1
    wait_until(lambda: calls(server) == 0, "no call is left")


def test_a_client_that_only_listens_is_no_call(start: Callable[..., Server]) -> None:
    server = start(SDKS["mcp1"])
    server.ready()
    connection, stream = server.open_sse()
    assert stream.readline() == b"event: endpoint\r\n"
    assert calls(server) == 0
    health = server.request("GET", "/.emcp/health").json()
    assert (health["open_requests"], health["calls"]) == (1, 0)
    connection.close()


def test_a_request_to_an_app_of_the_file_is_a_call(start: Callable[..., Server]) -> None:
    server = start(APP)
    server.ready()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.request, "GET", "/block")
        wait_until(lambda: "blocking" in server.log, "the app was asked")
        assert calls(server) == 1
        assert answer.result().status == 200
    wait_until(lambda: calls(server) == 0, "no call is left")


def test_who_does_not_bring_the_key_gets_nothing_and_keeps_nobody_from_an_answer(start: Callable[..., Server]) -> None:
    server = start(SDKS["mcp1"])
    server.ready()
    for question in (b"", b"?", b"x" * 2000, server.key.encode()[:-1], server.key.encode() + b"x"):
        assert ask(server, question, patience_secs=0.3) is None
    began = time.monotonic()
    assert calls(server) == 0
    assert time.monotonic() - began < ANSWER_SECS


def test_a_file_that_closes_what_is_open_serves_on(start: Callable[..., Server], client1: Client) -> None:
    server = start(CLOSING)
    server.ready()
    assert calls(server) == 0
    reply = client1.run(server, "http", ["call_tool", "close_witness", {}])
    assert "closed 1" in json.dumps(reply)
    # The thread learns of it with the next question.
    wait_until(lambda: is_refused(server), "its port is closed")
    assert "closed 0" in json.dumps(client1.run(server, "http", ["call_tool", "close_witness", {}]))
