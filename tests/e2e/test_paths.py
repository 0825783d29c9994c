"""Tricks with paths and headers, through real Traefik, byte for byte as written.

Two servers and two tokens, one for each. Whatever a request looks like, it reaches the server whose
token it carries, or nothing. Each server tells its name and what it was sent.
"""

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from support.api import Json
from support.running import Platform

TEACHER = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        return
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    seen = {"reached": os.environ["EMCP_SERVER_NAME"], "path": scope["path"], "root_path": scope["root_path"],
            "query": scope["query_string"].decode("latin-1"), "headers": headers}
    body = json.dumps(seen).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-reached", os.environ["EMCP_SERVER_NAME"].encode())]})
    await send({"type": "http.response.body", "body": body})
"""

OWN, OTHER = "path", "path2"
DEADLINE_SECS = 15


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reached(self) -> str | None:
        return self.headers.get("x-reached")

    @property
    def seen(self) -> Json:
        """What the server was sent."""
        found: Json = json.loads(self.body)
        return found

    def seen_headers(self, name: str) -> list[str]:
        return [value for key, value in self.seen["headers"] if key.lower() == name]


@dataclass(frozen=True)
class Wire:
    """Sends bytes to Traefik as they are; HTTP libraries would tidy them up first."""

    platform: Platform
    own_token: str
    other_token: str

    def send(self, request: str) -> list[Answer]:
        """All answers on one connection."""
        address = urlsplit(self.platform.public_url)
        assert address.hostname and address.port
        with (
            socket.create_connection((address.hostname, address.port), timeout=DEADLINE_SECS) as plain,
            self.platform.api.tls.wrap_socket(plain, server_hostname=address.hostname) as connection,
        ):
            connection.sendall(request.encode("latin-1"))
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except (ConnectionResetError, ssl.SSLError):
                pass
        return parse(received)

    def get(self, target: str, *headers: str, host: str | None = None, token: str | None = None) -> Answer:
        """One GET with these header lines, the own token's among them."""
        host = urlsplit(self.platform.public_url).netloc if host is None else host
        authorization = f"Authorization: Bearer {token or self.own_token}"
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", authorization, *headers, "Connection: close", "", ""]
        return self.send("\r\n".join(lines))[0]


def parse(received: bytes) -> list[Answer]:
    """The answers in what was received; those of Traefik and uvicorn have a length or end in chunks."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, rest = rest.partition(b"\r\n")
                length = int(size or b"0", 16)
                body, rest = body + rest[:length], rest[length + 2 :]
                if not length:
                    break
        else:
            length = int(headers.get("content-length", len(rest)))
            body, rest = rest[:length], rest[length:]
        answers.append(Answer(int(lines[0].split()[1]), headers, body))
        received = rest
    return answers


@pytest.fixture(scope="module")
def wire(platform: Platform) -> Iterator[Wire]:
    api = platform.api
    tokens = []
    for name in (OWN, OTHER):
        api.create(name, TEACHER, start="true", entry_object="app")
    for name in (OWN, OTHER):
        api.wait_for(name, "running")
        tokens.append(api.connect_token(f"only-{name}", [name]))
    yield Wire(platform, *tokens)
    for name in (OWN, OTHER):
        api.delete(name)


def test_each_token_reaches_its_server(wire: Wire) -> None:
    answer = wire.get("/api/path/hello?x=1")
    assert (answer.reached, answer.seen["path"]) == ("path", "/api/path/hello")
    assert wire.get("/api/path2/hello", token=wire.other_token).reached == "path2"
    assert wire.get("/api/path2/hello").status == 403


REACH_NOTHING = [
    # A way to the other server by way of one's own.
    "/api/path/../path2/x",
    "/api/path/./../path2",
    "/api/path/x/../../path2/x",
    "/api/path/%2e%2e/path2/x",
    "/api/path/%2E%2E/path2/x",
    "/api/path/.%2e/path2/x",
    "/api/path/%2e./path2/x",
    "/api/path/..%2fpath2/x",
    "/api/path/..%2Fpath2/x",
    "/api/path%2f..%2fpath2/x",
    "/api/path/%252e%252e/path2/x",
    "/api/path/%252e%252e%252fpath2/x",
    "/api/path/..%5cpath2/x",
    "/api/path/..\\path2\\x",
    "/api/path/..;/path2/x",
    "/api/path/..%3b/path2/x",
    "/api/path;/../path2/x",
    "/api/path/..%00/path2/x",
    "/api/path/%c0%ae%c0%ae/../../path2/x",
    "/api/path/..//path2/x",
    "/api//path/../path2/x",
    "//api/path2/x",
    "/api//path2/x",
    "/./api/./path2/x",
    "/x/../api/path2/x",
    # Names that are nearly the other's, or nearly one's own.
    "/api/path2",
    "/api/path2/",
    "/api/path2?server=path",
    "/api/path2%2f",
    "/api/path2%00",
    "/api/path2%20/x",
    "/api/path3/x",
    "/api/pat/x",
    "/api/PATH2/x",
    "/api/Path2/x",
    "/API/path2/x",
    "/Api/path2/x",
    "/api/path2./x",
    "/api/path2../x",
    "/api/path2;x/x",
    "/api/path2:8000/x",
    "/api/path2@path/x",
    # EMCP's own insides.
    "/gate",
    "/gate?server=path2",
    "/api/path/../../gate?server=path2",
    "/traefik/config",
    "/api/path/../../traefik/config",
    "/metrics",
    "/readyz",
    "/api/rawdata",
    "/api/path/../rawdata",
    "/api/path/../servers",
    "/api/path/../tokens",
    "/api/path/../servers/path2/env",
    "/api/path/.." * 30 + "/api/path2/x",
]


@pytest.mark.parametrize("target", REACH_NOTHING)
def test_no_path_leads_to_a_server_of_another_token(wire: Wire, target: str) -> None:
    answer = wire.get(target)
    assert answer.reached in (None, OWN), f"{target} reached {answer.reached}"
    assert answer.reached or answer.status in (400, 401, 403, 404), f"{target}: {answer.status} {answer.body[:200]!r}"
    # With nobody's token there is nothing at all to learn but that a token is missing.
    assert wire.get(target, token="nobody").reached is None


REACH_OWN = {
    "/api/path": "/api/path/",
    "/api/path/": "/api/path/",
    "/api/path/x": "/api/path/x",
    "/api/path2/../path/x": "/api/path/x",
    "/api/path2/%2e%2e/path/x": "/api/path/x",
    "//api//path//x": "/api/path/x",
    "/api/./path/./x": "/api/path/x",
    "/api/path/a/../x": "/api/path/x",
    "/api/path/..hidden": "/api/path/..hidden",
    "/api/path/x?server=path2&name=../path2": "/api/path/x",
    "/api/path/api/path2/x": "/api/path/api/path2/x",
}


@pytest.mark.parametrize("target", REACH_OWN)
def test_a_path_is_tidied_once_and_all_see_the_same(wire: Wire, target: str) -> None:
    """The gate decides on the path that the server then gets: two opinions would be a hole."""
    answer = wire.get(target)
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert answer.seen["path"] == REACH_OWN[target]
    assert answer.seen["root_path"] == "/api/path"


@pytest.mark.parametrize(
    "target",
    ["/api/path2/x?server={own}", "/api/path2/x?server={own}&server={own}", "/api/path2/x?at=1.2.3.4&server={own}"],
)
def test_a_query_does_not_choose_the_server(wire: Wire, target: str) -> None:
    """The gate learns the server from a query of EMCP's own, which no query of a client may join."""
    own = wire.platform.api.server(OWN)["id"]
    assert wire.get(target.format(own=own)).status == 403


FORGED = [
    "X-Emcp-User: admin",
    "x-emcp-user: admin",
    "X_Emcp_User: admin",
    "X-Emcp_User: admin",
    "X.Emcp.User: admin",
    "X-Emcp-Gateway-Key: forged",
    "X_Emcp_Gateway_Key: forged",
    "X-Emcp-Anything: forged",
    "X-Emcp-Sse-Ticket: forged",
    "Cookie: emcp_session=forged",
    "X-Api-Key: forged",
]


@pytest.mark.parametrize("line", FORGED)
def test_what_only_the_gate_may_say_is_not_taken_from_a_client(wire: Wire, line: str) -> None:
    name, _, value = line.partition(": ")
    answer = wire.get("/api/path/x", line)
    if name == "X-Api-Key":
        # Two credentials, one of them wrong: either answer is right as long as the wrong one goes no further.
        if answer.status == 401:
            return
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert value not in json.dumps(answer.seen["headers"])
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]
    assert answer.seen_headers("authorization") == []
    assert answer.seen_headers("x-emcp-gateway-key") == []


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
def test_no_header_of_the_gates_is_named_hop_by_hop_and_lost(wire: Wire, connection: str) -> None:
    """A proxy drops what `Connection` names: it must do so before it asks the gate, never after."""
    answer = wire.get("/api/path/x", f"Connection: {connection}")
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]


def test_a_credential_that_is_named_hop_by_hop_is_none(wire: Wire) -> None:
    answer = wire.get("/api/path/x", "Connection: Authorization")
    assert (answer.status, answer.reached) == (401, None)


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Forwarded-Uri: /api/path/x"],
        ["X-Forwarded-Prefix: /api/path"],
        ["X-Forwarded-Host: path.example", "X-Forwarded-Proto: http", "X-Forwarded-Port: 1"],
        ["X-Forwarded-Method: OPTIONS"],
        ["X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1"],
        ["X-Forwarded-Server: emcp", "X-Forwarded-Tls-Client-Cert: x"],
        ["X-Original-Url: /api/path/x", "X-Rewrite-Url: /api/path/x", "X-HTTP-Method-Override: OPTIONS"],
        ["Forwarded: for=127.0.0.1;host=path.example;proto=http"],
        ["X_Forwarded_For: 127.0.0.1", "X_Forwarded_Uri: /api/path/x"],
    ],
)
def test_a_proxys_words_are_not_taken_from_a_client(wire: Wire, lines: list[str]) -> None:
    assert wire.get("/api/path2/x", *lines).status == 403
    answer = wire.get("/api/path/x", *lines)
    assert answer.reached == OWN
    assert answer.seen["path"] == "/api/path/x"
    assert "127.0.0.1" in answer.seen_headers("x-forwarded-for")[0]
    assert answer.seen_headers("x-forwarded-host") == [urlsplit(wire.platform.public_url).netloc]
    assert answer.seen_headers("x-forwarded-proto") == ["https"]


def test_two_credentials_never_reach_more_than_the_weaker_one_may(wire: Wire) -> None:
    own, other = f"Authorization: Bearer {wire.own_token}", f"Authorization: Bearer {wire.other_token}"
    wrong = "Authorization: Bearer wrong"
    host = f"Host: {urlsplit(wire.platform.public_url).netloc}"
    # What Traefik and the gate make of a second line must be the same thing: a server sees neither.
    for first, second, reached in ((own, wrong, OWN), (wrong, own, None), (own, other, OWN), (other, own, None)):
        lines = ["GET /api/path/x HTTP/1.1", host, first, second, "Connection: close", "", ""]
        answer = wire.send("\r\n".join(lines))[0]
        assert answer.reached in (reached, None), f"{first[:30]}, {second[:30]}: {answer.reached}"
        assert answer.reached or answer.status in (400, 401, 403)
        if answer.reached:
            assert answer.seen_headers("authorization") == []


def test_hosts_do_not_matter_and_cannot_be_two(wire: Wire) -> None:
    real = urlsplit(wire.platform.public_url).netloc
    for host in ("path2", "path.example", "127.0.0.1", "[::1]", "169.254.169.254", f"{real}@path2"):
        answer = wire.get("/api/path2/x", host=host)
        assert answer.status in (400, 403), f"{host}: {answer.status}"
    lines = ["GET /api/path/x HTTP/1.1", f"Host: {real}", "Host: path2", f"Authorization: Bearer {wire.own_token}"]
    assert wire.send("\r\n".join([*lines, "Connection: close", "", ""]))[0].status == 400
    assert wire.get("/api/path/x", host="").status in (200, 400)


@pytest.mark.parametrize(
    "target",
    [
        "https://localhost/api/path2/x",
        "http://path/api/path2/x",
        "https://path2:8000/x",
        "http://169.254.169.254/latest/meta-data/",
        "/api/path/x HTTP/1.1\r\nX-Emcp-User: admin\r\nX:",
        "*",
        "api/path2/x",
        "?/api/path2",
        "/api/path#/../path2/x",
        "/api/path\x00/../path2",
        "/api/path2\x7f",
    ],
)
def test_request_targets_in_other_forms_lead_nowhere_else(wire: Wire, target: str) -> None:
    answer = wire.get(target)
    assert answer.reached in (None, OWN)
    if answer.reached:
        assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]


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
def test_no_second_request_is_smuggled_in_a_body(wire: Wire, framing: str) -> None:
    host = urlsplit(wire.platform.public_url).netloc
    head = f"POST /api/path/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {wire.own_token}\r\n{framing}\r\n\r\n"
    closing = f"GET /api/path/last HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    for answer in wire.send(f"{head}0\r\n\r\n{SMUGGLED}{closing}"):
        assert answer.reached in (None, OWN)
        assert answer.status != 200 or answer.seen["path"] == "/api/path/x"


def test_a_path_too_long_for_anybody_is_refused(wire: Wire) -> None:
    assert wire.get("/api/path/" + "x" * 100_000).status in (400, 414, 431)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PATCH", "FOO", "OPTIONS", "get"])
def test_every_method_passes_the_gate(wire: Wire, method: str) -> None:
    host = urlsplit(wire.platform.public_url).netloc
    for name, allowed in ((OTHER, False), (OWN, True)):
        lines = [f"{method} /api/{name}/x HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {wire.own_token}"]
        for answer in wire.send("\r\n".join([*lines, "Connection: close", "", ""])):
            assert answer.reached in ((OWN, None) if allowed else (None,))


WELL_KNOWN = [
    "/.well-known/",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/api/path/mcp",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/api/path",
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/api/path/mcp",
    "/.well-known/security.txt",
    "/api/.well-known/openid-configuration",
    "/api/path/.well-known/oauth-protected-resource",
    "/api/path/.well-known/openid-configuration",
    "/api/path/mcp/.well-known/oauth-authorization-server",
    "/api/path/sse/.well-known/openid-configuration",
    "/api/unknown/.well-known/oauth-protected-resource",
    "/api/servers/.well-known/openid-configuration",
    "/api/path/x/../.well-known/openid-configuration",
    "/api/path/%2ewell-known/openid-configuration",
]


@pytest.mark.parametrize("target", WELL_KNOWN)
@pytest.mark.parametrize("host", ["localhost", "other.example", "127.0.0.1"])
def test_a_client_that_looks_for_oauth_finds_none_under_any_host_or_prefix(wire: Wire, target: str, host: str) -> None:
    """A 401 or a page in place of a 404 would send it into a sign-in that does not exist."""
    for method in ("GET", "OPTIONS", "POST"):
        for credential in ("", f"Authorization: Bearer {wire.own_token}\r\n"):
            request = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{credential}Connection: close\r\n\r\n"
            answer = wire.send(request)[0]
            assert answer.status == 404, f"{method} {target}: {answer.status} {answer.body[:200]!r}"
            assert "www-authenticate" not in answer.headers
            assert answer.reached is None
