"""Unit tests: the ticket goes into the endpoint event, and no credential goes to the server."""

from __future__ import annotations

import pytest

from emcp_bootstrap import tickets

EVENT = b"event: endpoint\r\ndata: /api/demo/messages/?session_id=1\r\n\r\n"


def test_the_ticket_is_put_into_the_endpoint_event() -> None:
    expected = b"event: endpoint\r\ndata: /api/demo/messages/?session_id=1&emcp_ticket=T\r\n\r\n"
    assert tickets.with_ticket(EVENT, b"T") == expected


def test_what_follows_the_event_stays() -> None:
    rewritten = tickets.with_ticket(EVENT + b": ping\r\n\r\n", b"T")
    assert rewritten is not None and rewritten.endswith(b"emcp_ticket=T\r\n\r\n: ping\r\n\r\n")


def test_other_events_are_left_alone() -> None:
    assert tickets.with_ticket(b"event: message\r\ndata: {}\r\n\r\n", b"T") is None


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/sse", b"key=T", b""),
        ("/mcp", b"a=1&key=T", b"a=1"),
        ("/messages/", b"session_id=1&emcp_ticket=T", b"session_id=1"),
        ("/items", b"key=mine&x=%20", b"key=mine&x=%20"),
    ],
)
def test_credentials_do_not_reach_the_server(path: str, query: bytes, expected: bytes) -> None:
    assert tickets.without_credentials(query, path) == expected
