"""Tricks with paths and headers, through real Traefik, over HTTP/1.1 and HTTP/2.

Two servers and two tokens, one for each. Whatever a request looks like, it reaches the server whose
token it carries, or nothing. What only one version of HTTP can say is in the two modules beside this one.
"""

import json

import pytest

from support.running import Platform
from support.wire import NO_ANSWER, OWN, Http1Wire, Http2Wire, Wire

BOTH: dict[str, type[Wire]] = {"http/1.1": Http1Wire, "h2": Http2Wire}


@pytest.fixture(scope="module", params=BOTH)
def wire(platform: Platform, tokens_of_two: tuple[str, str], request: pytest.FixtureRequest) -> Wire:
    return BOTH[request.param](platform, *tokens_of_two)


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
    assert answer.reached or answer.is_refusal, f"{target}: {answer.status} {answer.body[:200]!r}"
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
    # Any other key may be for the server itself (test_own_credentials.py).
    f"X-Api-Key: emcp_{'0' * 64}",
    f"X-Api-Key: forged, emcp_{'0' * 64}",
]


@pytest.mark.parametrize("line", FORGED)
def test_what_only_the_gate_may_say_is_not_taken_from_a_client(wire: Wire, line: str) -> None:
    _, _, value = line.partition(": ")
    answer = wire.get("/api/path/x", line)
    assert answer.reached == OWN, f"{answer.status} {answer.body[:200]!r}"
    assert value not in json.dumps(answer.seen["headers"])
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]
    assert answer.seen_headers("authorization") == []
    assert answer.seen_headers("x-emcp-gateway-key") == []


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
    assert answer.seen_headers("x-forwarded-host") == [wire.host]
    assert answer.seen_headers("x-forwarded-proto") == ["https"]


def test_two_credentials_never_reach_more_than_the_weaker_one_may(wire: Wire) -> None:
    own, other = f"Authorization: Bearer {wire.own_token}", f"Authorization: Bearer {wire.other_token}"
    wrong = "Authorization: Bearer wrong"
    # What Traefik and the gate make of a second line must be the same thing: a server sees neither.
    for first, second, reached in ((own, wrong, OWN), (wrong, own, None), (own, other, OWN), (other, own, None)):
        answer = wire.request("GET", "/api/path/x", first, second)
        assert answer.reached in (reached, None), f"{first[:30]}, {second[:30]}: {answer.reached}"
        assert answer.reached or answer.is_refusal
        if answer.reached:
            assert answer.seen_headers("authorization") == []


def test_hosts_do_not_matter(wire: Wire) -> None:
    for host in ("path2", "path.example", "127.0.0.1", "[::1]", "169.254.169.254", f"{wire.host}@path2"):
        answer = wire.get("/api/path2/x", host=host)
        assert answer.status in (400, 403, NO_ANSWER), f"{host}: {answer.status}"


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


def test_a_path_too_long_for_anybody_is_refused(wire: Wire) -> None:
    assert wire.get("/api/path/" + "x" * 100_000).status in (400, 414, 431, NO_ANSWER)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PATCH", "FOO", "OPTIONS", "get"])
def test_every_method_passes_the_gate(wire: Wire, method: str) -> None:
    credential = f"Authorization: Bearer {wire.own_token}"
    assert wire.request(method, "/api/path2/x", credential).reached is None
    assert wire.request(method, "/api/path/x", credential).reached in (OWN, None)


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
        for credentials in ([], [f"Authorization: Bearer {wire.own_token}"]):
            answer = wire.request(method, target, *credentials, host=host)
            assert answer.status == 404, f"{method} {target}: {answer.status} {answer.body[:200]!r}"
            assert "www-authenticate" not in answer.headers
            assert answer.reached is None
