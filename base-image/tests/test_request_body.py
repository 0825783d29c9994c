"""Answers that are given before the request's body was read, on a real container."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from containers import KEY_HEADER, Server

# Answers by the headers alone, in the three ways in which a connection ends.
UNREAD = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    if scope["path"].endswith("/fails"):
        raise RuntimeError("before it read")
    headers = [(b"content-length", b"5")]
    if scope["path"].endswith("/closes"):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 409, "headers": headers})
    await send({"type": "http.response.body", "body": b"taken"})
"""
EXPECTED = {"/stays": 409, "/closes": 409, "/fails": 500}
CALLS = 200


@pytest.mark.parametrize("path", EXPECTED)
@pytest.mark.parametrize("size", [100_000, 4_000_000])
def test_an_answer_before_the_body_was_read_arrives(start: Callable[..., Server], path: str, size: int) -> None:
    server = start(UNREAD, EMCP_ENTRY_OBJECT="app")
    server.ready()
    ip, body = server.ip, b"x" * size

    def call(_: int) -> int | str:
        connection = http.client.HTTPConnection(ip, 8000, timeout=30)
        try:
            connection.request("POST", path, body, {KEY_HEADER: server.key})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except OSError as error:
            return repr(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(call, range(CALLS * 100_000 // size)))
    assert set(answers) == {EXPECTED[path]}


def test_a_body_that_never_ends_does_not_hold_the_answer(start: Callable[..., Server]) -> None:
    server = start(UNREAD, EMCP_ENTRY_OBJECT="app")
    server.ready()
    connection = http.client.HTTPConnection(server.ip, 8000, timeout=30)
    connection.putrequest("POST", "/closes")
    connection.putheader(KEY_HEADER, server.key)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"only a part")
    assert connection.getresponse().read() == b"taken"
    connection.close()
