"""Tricks that only HTTP/2 knows: pseudo-headers, bytes that HTTP/1.1 could not carry, and streams beside each other.

Traefik speaks HTTP/1.1 to the servers, so whatever it lets through is translated; RFC 9113 (8.2, 8.3, 10.3) says
what must not be. None of these requests could be sent with a client that follows it.
"""

import json

import pytest

from support.running import Platform
from support.wire import OTHER, OWN, Answer, Field, Http2Wire, Stream

SMUGGLED = b"GET /api/path2/stolen HTTP/1.1\r\nHost: localhost\r\nX-Emcp-User: admin\r\n\r\n"


@pytest.fixture(scope="module")
def wire(platform: Platform, tokens_of_two: tuple[str, str]) -> Http2Wire:
    return Http2Wire(platform, *tokens_of_two)


def without(name: bytes, fields: list[Field]) -> list[Field]:
    return [pair for pair in fields if pair[0] != name]


def assert_reached_own(answer: Answer, path: str = "/api/path/x") -> None:
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert answer.seen["path"] == path
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]
    assert answer.seen_headers("authorization") == []


def test_streams_of_two_tokens_on_one_connection_do_not_mix(wire: Http2Wire) -> None:
    """One connection has one table of compressed headers, and the credentials are in it."""
    asked = [(server, token) for server in (OWN, OTHER) for token in (wire.own_token, wire.other_token)] * 10
    answers = wire.send(*(Stream(wire.fields(f"/api/{server}/x", token=token)) for server, token in asked))
    whose = {wire.own_token: OWN, wire.other_token: OTHER}
    for (server, token), answer in zip(asked, answers, strict=True):
        if whose[token] == server:
            assert (answer.reached, answer.seen_headers("x-emcp-user")) == (server, [f"only-{server}"])
        else:
            assert (answer.status, answer.reached) == (403, None)


def test_fields_in_their_right_order_pass(wire: Http2Wire) -> None:
    """What the tricks below are made from would be let in; `te: trailers` is the one such header that may be there."""
    fields = [*wire.fields("/api/path/x"), (b"te", b"trailers"), (b"x-note", b"a\tb")]
    assert_reached_own(wire.send(Stream(fields))[0])


PSEUDO_HEADERS: dict[str, list[Field]] = {
    "no path": [],
    "an empty path": [(b":path", b"")],
    "two paths, the own first": [(b":path", b"/api/path/x"), (b":path", b"/api/path2/x")],
    "two paths, the own last": [(b":path", b"/api/path2/x"), (b":path", b"/api/path/x")],
    "twice the same path": [(b":path", b"/api/path/x"), (b":path", b"/api/path/x")],
    "two methods": [(b":path", b"/api/path/x"), (b":method", b"POST")],
    "two schemes": [(b":path", b"/api/path/x"), (b":scheme", b"http")],
    "two authorities": [(b":path", b"/api/path/x"), (b":authority", b"path2")],
    "a path in capitals": [(b":PATH", b"/api/path/x")],
    "a second path in capitals": [(b":path", b"/api/path/x"), (b":Path", b"/api/path2/x")],
    "one nobody knows": [(b":path", b"/api/path/x"), (b":server", b"path2")],
    "one of an answer": [(b":path", b"/api/path/x"), (b":status", b"200")],
    "one of the gate's": [(b":path", b"/api/path/x"), (b":x-emcp-user", b"admin")],
    "a path behind the headers": [(b"x-first", b"1"), (b":path", b"/api/path/x")],
    "a protocol without CONNECT": [(b":path", b"/api/path/x"), (b":protocol", b"websocket")],
}


@pytest.mark.parametrize("trick", PSEUDO_HEADERS)
def test_a_request_whose_pseudo_headers_are_not_right_is_nobodys(wire: Http2Wire, trick: str) -> None:
    fields = without(b":path", wire.fields("/"))
    # Behind the other pseudo-headers, before the credential.
    answer = wire.send(Stream([*fields[:3], *PSEUDO_HEADERS[trick], *fields[3:]]))[0]
    assert answer.is_refusal, f"{answer.status} {answer.body[:200]!r}"


@pytest.mark.parametrize("missing", [b":method", b":scheme"])
def test_a_request_without_a_method_or_scheme_is_nobodys(wire: Http2Wire, missing: bytes) -> None:
    assert wire.send(Stream(without(missing, wire.fields("/api/path/x"))))[0].is_refusal


@pytest.mark.parametrize("scheme", ["http", "file", "", "https://path2/api/path2/x?"])
def test_a_scheme_leads_nowhere_else(wire: Http2Wire, scheme: str) -> None:
    for path in ("/api/path/x", "/api/path2/x"):
        fields = [(b":scheme", scheme.encode()), *without(b":scheme", wire.fields(path))]
        answer = wire.send(Stream(fields))[0]
        if path == "/api/path/x" and answer.reached:
            assert_reached_own(answer)
            assert answer.seen_headers("x-forwarded-proto") == ["https"]
        else:
            assert answer.is_refusal, f"{answer.status} {answer.body[:200]!r}"


AUTHORITIES: dict[str, list[Field]] = {
    "none": [],
    "none but a host": [(b"host", b"path2")],
    "another host beside it": [(b":authority", b"localhost"), (b"host", b"path2")],
    "two other hosts beside it": [(b":authority", b"localhost"), (b"host", b"path2"), (b"host", b"path")],
    "the other server": [(b":authority", b"path2:8000")],
    "a user": [(b":authority", b"path2@localhost")],
    "a path": [(b":authority", b"localhost/api/path2")],
    "a query": [(b":authority", b"localhost?server=path2")],
    "a line break": [(b":authority", b"localhost\r\nX-Emcp-User: admin")],
    "a space": [(b":authority", b"localhost /api/path2/x")],
}


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_an_authority_does_not_choose_the_server(wire: Http2Wire, authority: str) -> None:
    for path in ("/api/path/x", "/api/path2/x"):
        fields = without(b":authority", wire.fields(path))
        pseudo = [pair for pair in AUTHORITIES[authority] if pair[0].startswith(b":")]
        regular = [pair for pair in AUTHORITIES[authority] if not pair[0].startswith(b":")]
        answer = wire.send(Stream([*pseudo, *fields, *regular]))[0]
        if path == "/api/path/x" and answer.reached:
            assert_reached_own(answer)
            # Traefik passes on an authority that is no host (HTTP/1.1 has it refused): as one name, once, and nothing
            # of it becomes a path or a second line. Without any it takes the server's own address.
            sent = [*pseudo, *regular, (b"", b"")][0][1].decode()
            address = wire.platform.api.server(OWN)["address"]
            assert answer.seen_headers("host") in ([sent], [""], [address])
            assert answer.seen_headers("x-forwarded-host") in ([sent], [])
        else:
            assert answer.is_refusal, f"{path}: {answer.status} {answer.body[:200]!r}"


OF_A_CONNECTION: list[Field] = [
    (b"connection", b"x-emcp-user"),
    (b"connection", b"x-emcp-gateway-key, x-forwarded-uri, authorization"),
    (b"connection", b"close"),
    (b"proxy-connection", b"x-emcp-user"),
    (b"keep-alive", b"timeout=5"),
    (b"transfer-encoding", b"chunked"),
    (b"transfer-encoding", b"identity"),
    (b"upgrade", b"h2c"),
    (b"upgrade", b"websocket"),
    (b"te", b"gzip"),
    (b"te", b"trailers, chunked"),
]


@pytest.mark.parametrize("line", OF_A_CONNECTION, ids=lambda pair: b": ".join(pair).decode())
def test_headers_of_a_connection_are_refused(wire: Http2Wire, line: Field) -> None:
    """RFC 9113, 8.2.2: translated to HTTP/1.1 they would get their old meaning back."""
    for body in (None, b"0\r\n\r\n" + SMUGGLED):
        answer = wire.send(Stream([*wire.fields("/api/path/x", method="POST"), line], body))[0]
        assert answer.is_refusal, f"{answer.status} {answer.body[:200]!r}"


LENGTHS = {
    "none at all": [],
    "nothing": [b"0"],
    "too short": [b"4"],
    "too long": [b"1000"],
    "two that differ": [b"4", b"%d" % len(SMUGGLED)],
    "a list": [b"4, %d" % len(SMUGGLED)],
    "with a sign": [b"+%d" % len(SMUGGLED)],
    "negative": [b"-1"],
    "hexadecimal": [b"0x4"],
    "beyond every number": [b"99999999999999999999999"],
    "empty": [b""],
}


@pytest.mark.parametrize("length", LENGTHS)
def test_no_second_request_is_smuggled_in_a_body(wire: Http2Wire, length: str) -> None:
    lines = [(b"content-length", value) for value in LENGTHS[length]]
    smuggling = Stream([*wire.fields("/api/path/x", method="POST"), *lines], SMUGGLED)
    after = Stream(wire.fields("/api/path/after"))
    first, *others = wire.send(smuggling, after, after)
    if length == "none at all":
        assert_reached_own(first)
    else:
        # 500 is Traefik's word for a body that ended before its time.
        assert first.is_refusal or (length, first.status) == ("too long", 500), f"{first.status} {first.body[:200]!r}"
    # A request that hid in a body would be answered in place of one of these.
    for answer in [*others, *wire.send(after, after)]:
        assert_reached_own(answer, "/api/path/after")


BAD_FIELDS: dict[str, Field] = {
    "a line break in a value": (b"x-note", b"a\r\nX-Emcp-User: admin"),
    "a bare line feed in a value": (b"x-note", b"a\nX-Emcp-User: admin"),
    "a bare carriage return in a value": (b"x-note", b"a\rX-Emcp-User: admin"),
    "a whole request in a value": (b"x-note", b"a\r\n\r\n" + SMUGGLED),
    "a NUL in a value": (b"x-note", b"a\x00b"),
    "a line break in a name": (b"x-note: a\r\nx-emcp-user", b"admin"),
    "a colon in a name": (b"x-emcp-user:", b"admin"),
    "a space behind a name": (b"x-emcp-user ", b"admin"),
    "a space before a name": (b" x-emcp-user", b"admin"),
    "a tab in a name": (b"x-emcp-user\t", b"admin"),
    "a NUL in a name": (b"x-emcp-user\x00", b"admin"),
    "a letter beyond ASCII in a name": ("x-emcp-ußer".encode(), b"admin"),
    "no name": (b"", b"admin"),
    "capitals in a name": (b"X-Emcp-User", b"admin"),
    "one capital in a name": (b"x-emcp-useR", b"admin"),
    "a credential in capitals": (b"Authorization", b"Bearer wrong"),
}


@pytest.mark.parametrize("trick", BAD_FIELDS)
def test_a_header_that_cannot_be_is_refused(wire: Http2Wire, trick: str) -> None:
    answer = wire.send(Stream([*wire.fields("/api/path/x"), BAD_FIELDS[trick]]))[0]
    assert answer.is_refusal, f"{answer.status} {answer.body[:200]!r}"


@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION", b"X-Api-Key"])
def test_a_credential_in_capitals_opens_nothing(wire: Http2Wire, name: bytes) -> None:
    fields = [*wire.fields("/api/path/x", token=""), (name, f"Bearer {wire.own_token}".encode())]
    assert wire.send(Stream(fields))[0].is_refusal


def test_crumbs_of_cookies_are_taken_away_whole(wire: Http2Wire) -> None:
    """RFC 9113, 8.2.3: cookies may come as several headers, to be joined before anybody reads them."""
    crumbs = ["Cookie: a=crumb", "Cookie: emcp_session=crumb", f"Cookie: emcp_session={wire.other_token}; b=crumb"]
    answer = wire.send(Stream(wire.fields("/api/path/x", *crumbs)))[0]
    assert_reached_own(answer)
    assert "crumb" not in json.dumps(answer.seen["headers"])
    assert wire.send(Stream(wire.fields("/api/path2/x", *crumbs)))[0].is_refusal
    assert wire.send(Stream(wire.fields("/api/path/x", *crumbs, token="")))[0].is_refusal


TRAILERS: dict[str, list[Field]] = {
    "what the gate says": [(b"x-emcp-user", b"admin"), (b"x-emcp-gateway-key", b"forged")],
    "a credential": [(b"authorization", b"Bearer wrong"), (b"cookie", b"emcp_session=forged")],
    "a length": [(b"content-length", b"0"), (b"host", b"path2")],
    "a proxy's words": [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-uri", b"/api/path2/x")],
}


@pytest.mark.parametrize("trick", TRAILERS)
@pytest.mark.parametrize("announced", [True, False])
def test_trailers_become_no_headers(wire: Http2Wire, trick: str, announced: bool) -> None:
    trailers = TRAILERS[trick]
    announcement = [(b"trailer", b", ".join(name for name, _ in trailers))] if announced else []
    fields = [*wire.fields("/api/path/x", method="POST"), *announcement]
    answer = wire.send(Stream(fields, b"body", trailers))[0]
    if answer.reached:
        assert_reached_own(answer)
        for _, value in trailers:
            assert value.decode() not in [seen for name, seen in answer.seen["headers"] if name != "content-length"]
    else:
        assert answer.is_refusal, f"{answer.status} {answer.body[:200]!r}"
    # A credential that comes after the body comes too late.
    late = [(b"authorization", f"Bearer {wire.own_token}".encode())]
    assert wire.send(Stream(wire.fields("/api/path/x", method="POST", token=""), b"body", late))[0].is_refusal


@pytest.mark.parametrize("pseudo", [b":path", b":authority", b":method"])
def test_a_pseudo_header_in_trailers_ends_the_request(wire: Http2Wire, pseudo: bytes) -> None:
    fields = wire.fields("/api/path/x", method="POST")
    assert wire.send(Stream(fields, b"body", [(pseudo, b"/api/path2/x")]))[0].is_refusal


TUNNELS: dict[str, list[Field]] = {
    "to the other server": [(b":method", b"CONNECT"), (b":authority", b"path2:8000")],
    "to EMCP": [(b":method", b"CONNECT"), (b":authority", b"127.0.0.1:8081")],
    "to the own path": [
        (b":method", b"CONNECT"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/api/path/x"),
    ],
    "by WebSocket to the own path": [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/api/path/x"),
    ],
    "by WebSocket to the other path": [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/api/path2/x"),
    ],
}


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_there_is_no_tunnel(wire: Http2Wire, tunnel: str) -> None:
    """RFC 8441 (extended CONNECT) is not offered, and nothing is tunnelled."""
    credential = (b"authorization", f"Bearer {wire.own_token}".encode())
    answer = wire.send(Stream([*TUNNELS[tunnel], credential], SMUGGLED))[0]
    assert answer.is_refusal or answer.status == 501, f"{answer.status} {answer.body[:200]!r}"
