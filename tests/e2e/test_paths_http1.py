"""Tricks that only HTTP/1.1 knows: hop-by-hop headers, two hosts, and bodies with two lengths."""

import pytest

from support.running import Platform
from support.wire import OWN, Http1Wire


@pytest.fixture(scope="module")
def wire(platform: Platform, tokens_of_two: tuple[str, str]) -> Http1Wire:
    return Http1Wire(platform, *tokens_of_two)


@pytest.mark.parametrize(
    "connection",
    [
        "X-Emcp-User",
        "X-Emcp-Gateway-Key",
        "X-Emcp-User, X-Emcp-Gateway-Key, X-Emcp-Sse-Ticket",
        "x-emcp-gateway-key",
        "keep-alive, X-Emcp-User",
        "X-Forwarded-Uri, X-Forwarded-Host, X-Forwarded-Method, X-Forwarded-For",
        "Host",
    ],
)
def test_no_header_of_the_gates_is_named_hop_by_hop_and_lost(wire: Http1Wire, connection: str) -> None:
    """A proxy drops what `Connection` names: it must do so before it asks the gate, never after."""
    answer = wire.get("/api/path/x", f"Connection: {connection}")
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]


def test_a_credential_that_is_named_hop_by_hop_is_none(wire: Http1Wire) -> None:
    answer = wire.get("/api/path/x", "Connection: Authorization")
    assert (answer.status, answer.reached) == (401, None)


def test_there_is_one_host(wire: Http1Wire) -> None:
    lines = ["GET /api/path/x HTTP/1.1", f"Host: {wire.host}", "Host: path2", f"Authorization: Bearer {wire.own_token}"]
    assert wire.send("\r\n".join([*lines, "Connection: close", "", ""]))[0].status == 400
    assert wire.get("/api/path/x", host="").status in (200, 400)


SMUGGLED = "GET /api/path2/stolen HTTP/1.1\r\nHost: localhost\r\nX-Emcp-User: admin\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 100",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: +4",
        "Content-Length: 0x4",
    ],
)
def test_no_second_request_is_smuggled_in_a_body(wire: Http1Wire, framing: str) -> None:
    head = f"POST /api/path/x HTTP/1.1\r\nHost: {wire.host}\r\nAuthorization: Bearer {wire.own_token}\r\n{framing}\r\n\r\n"
    closing = f"GET /api/path/last HTTP/1.1\r\nHost: {wire.host}\r\nConnection: close\r\n\r\n"
    for answer in wire.send(f"{head}0\r\n\r\n{SMUGGLED}{closing}"):
        assert answer.reached in (None, OWN)
        assert answer.status != 200 or answer.seen["path"] == "/api/path/x"
