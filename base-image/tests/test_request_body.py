"""Answers that are given before the request's body was read, and bodies of untold length, on a real container."""

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


# Tells how much of the body it got, and in how many pieces; it begins to answer before it has read any.
COUNTS = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    length = pieces = 0
    while True:
        message = await receive()
        length += len(message["body"])
        pieces += 1
        if not message.get("more_body"):
            break
    await send({"type": "http.response.body", "body": f"{length} in {pieces}".encode()})
"""
LIMIT_BYTES = 8_000_000


def test_a_body_of_untold_length_is_there_before_the_app_sees_any_and_is_counted(start: Callable[..., Server]) -> None:
    server = start(COUNTS, EMCP_ENTRY_OBJECT="app")
    server.ready()

    def post(size: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(server.ip, 8000, timeout=30)
        pieces = (b"x" * min(60_000, size - at) for at in range(0, size, 60_000))
        connection.request("POST", "/any", pieces, {KEY_HEADER: server.key}, encode_chunked=True)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    for size in (1, 4_500_000, LIMIT_BYTES):
        assert post(size) == (200, b"%d in 1" % size)
    for size in (LIMIT_BYTES + 1, 12_000_000):
        status, body = post(size)
        assert status == 413
        assert b"at most 8,000,000 bytes (8 MB)" in body and b'"too_large"' in body
    # It serves on.
    assert post(10) == (200, b"10 in 1")


def test_a_body_of_untold_length_that_its_client_gives_up_is_forgotten(start: Callable[..., Server]) -> None:
    server = start(COUNTS, EMCP_ENTRY_OBJECT="app")
    server.ready()
    given_up = http.client.HTTPConnection(server.ip, 8000, timeout=30)
    given_up.putrequest("POST", "/any")
    given_up.putheader(KEY_HEADER, server.key)
    given_up.putheader("Transfer-Encoding", "chunked")
    given_up.endheaders(b"5\r\nhello\r\n")
    given_up.close()
    connection = http.client.HTTPConnection(server.ip, 8000, timeout=30)
    connection.request("POST", "/any", b"whole", {KEY_HEADER: server.key})
    assert connection.getresponse().read() == b"5 in 1"
    connection.close()
