"""A server's page must never act in the dashboard's origin: what answers may say, what browsers may ask for, and
whose page may use the session's cookie. What comes of it in a real browser is in tests/ui/pages/origin.mjs."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.api import Api
from support.running import Platform
from support.streams import has_route
from support.waits import until
from support.wire import OWN, Http1Wire, Http2Wire

Json = dict[str, Any]

SERVER = "hostile"
REMOVED = {
    "Set-Cookie": "__Host-emcp-session=evil; Path=/; Secure",
    "Service-Worker-Allowed": "/",
    "Clear-Site-Data": '"*"',
    "Refresh": "0;url=https://evil.example/",
    "Strict-Transport-Security": "max-age=1000000; includeSubDomains",
    "Alt-Svc": 'h3="evil.example:443"; ma=1000000',
    "NEL": '{"report_to":"evil","max_age":1000000}',
    "Report-To": '{"group":"evil","max_age":1000000,"endpoints":[{"url":"https://evil.example/"}]}',
    "Reporting-Endpoints": 'evil="https://evil.example/"',
    "Accept-CH": "Sec-CH-UA-Full-Version-List",
    "Critical-CH": "Sec-CH-UA-Full-Version-List",
    "Set-Login": "logged-out",
    "Sec-Session-Registration": '(ES256);path="evil"',
    "Secure-Session-Registration": '(ES256);path="evil"',
    "Use-As-Dictionary": 'match="/*"',
}
REPLACED = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "*, Origin",
}
# A stream that goes on only when another request says so.
CODE = f"""
import asyncio

GO = asyncio.Event()
EVIL = [(name.lower().encode(), value.encode()) for name, value in {REMOVED!r}.items()]
OPEN = [(b"content-security-policy", b"default-src *"), (b"content-security-policy", b"script-src *"),
        (b"x-content-type-options", b"sniff"), (b"cross-origin-resource-policy", b"cross-origin"),
        (b"vary", b"accept"), (b"cache-control", b"max-age=1000000")]

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    streams = scope["path"].endswith("/sse")
    kind = b"text/event-stream" if streams else b"text/html"
    headers = [(b"content-type", kind), *EVIL, *OPEN]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    if streams:
        await send({{"type": "http.response.body", "body": b"data: one\\n\\n", "more_body": True}})
        await GO.wait()
        await send({{"type": "http.response.body", "body": b"data: two\\n\\n"}})
        return
    GO.set()
    await send({{"type": "http.response.body", "body": b"<script>alert(1)</script>"}})
"""

# What a browser says it wants an answer for, other than a script's own request.
PAGE_DESTS = ["document", "iframe", "frame", "embed", "object", "script", "serviceworker", "sharedworker", "worker"]
PAGE_DESTS += ["style", "image", "font", "audio", "video", "track", "manifest", "report", "xslt", "prefetch", ""]

IDENTITY_HEADERS = [
    "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token", "X-Remote-User", "X-Remote-Group", "Remote-User", "Remote-Groups", "Remote-Email",
    "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-Auth-User", "X-Webauth-User",
    "X-Authenticated-User", "X-Authentik-Username", "X-Consumer-Username", "X-Goog-Authenticated-User-Email",
    "X-Ms-Client-Principal-Name", "X-Amzn-Oidc-Identity", "Cf-Access-Authenticated-User-Email",
    "Tailscale-User-Login", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "Ssl-Client-Verify",
]  # fmt: skip
# A client may have headers of its own for a server, such as the token of what the server speaks to.
OTHER_HEADERS = ["X-Auth-Token", "X-Request-Id", "X-Github-Token", "Mcp-Protocol-Version", "Traceparent"]


@pytest.fixture(scope="module")
def hostile(api: Api) -> Iterator[str]:
    """The server's path."""
    api.create(SERVER, CODE, start="true", entry_object="app")
    api.wait_for(SERVER, "running")
    yield f"/api/{SERVER}"
    api.delete(SERVER)


def assert_isolated(headers: httpx.Headers) -> None:
    assert not [name for name in REMOVED if name in headers], headers
    for name, value in REPLACED.items():
        assert headers.get_list(name) == [value]


@pytest.mark.parametrize("http2", [False, True])
def test_no_answer_of_a_server_says_anything_for_the_whole_host(
    platform: Platform, hostile: str, http2: bool
) -> None:
    wire = (Http2Wire if http2 else Http1Wire)(platform, platform.admin_token, "")
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        credential = f"Authorization: Bearer {platform.admin_token}"
        length = ["Content-Length: 0"] if method == "POST" and not http2 else []
        answer = wire.request(method, f"{hostile}/mcp", credential, *length)
        assert answer.status == 200
        assert b"<script>" in answer.body, "it must be the server that answered"
        assert_isolated(httpx.Headers(answer.headers))


def test_a_stream_passes_piece_by_piece_all_the_same(api: Api, hostile: str) -> None:
    with api.http.stream("GET", f"{hostile}/sse") as stream:
        assert_isolated(stream.headers)
        lines = stream.iter_lines()
        assert next(lines) == "data: one"
        # It would wait for ever if the first piece waited for the second.
        assert api.request("GET", f"{hostile}/mcp").status_code == 200
        assert "data: two" in list(lines)


def test_a_refusal_of_the_gate_keeps_what_it_needs(api: Api, platform: Platform, hostile: str) -> None:
    nobody = platform.api_as(None)
    unknown = nobody.request("GET", f"{hostile}/mcp")
    assert unknown.status_code == 401
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    assert_isolated(unknown.headers)
    api.create("stopped", "mcp = None\n")
    try:
        # Until Traefik has the route, there is none.
        answer = until(
            "the route of a new server",
            lambda: answer if has_route(answer := api.request("GET", "/api/stopped/mcp")) else None,
            30,
        )
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]
        assert_isolated(answer.headers)
    finally:
        api.delete("stopped")


@pytest.mark.parametrize("dest", PAGE_DESTS)
def test_a_server_is_never_a_page_a_script_or_a_frame(api: Api, hostile: str, dest: str) -> None:
    answer = api.request("GET", f"{hostile}/mcp", headers={"Sec-Fetch-Dest": dest})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "not_a_page"
    assert "paste it into an MCP client" in answer.json()["error"]["message"]


def test_a_browsers_own_client_is_let_in(api: Api, hostile: str) -> None:
    headers = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    assert api.request("GET", f"{hostile}/mcp", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Dest": "document"}, {"Origin": "https://evil.example"}, {}])
def test_a_browser_does_not_tell_which_servers_there_are(
    platform: Platform, hostile: str, headers: dict[str, str]
) -> None:
    nobody = platform.api_as(None)
    for query in ("", "?key=emcp_wrong"):
        there, not_there = (
            nobody.request("GET", f"{path}/mcp{query}", headers=headers) for path in (hostile, f"{hostile}-not")
        )
        assert there.status_code == not_there.status_code
        assert there.json()["error"]["code"] == not_there.json()["error"]["code"]


def test_a_page_elsewhere_does_not_lock_its_visitors_out(new_platform: Any) -> None:
    """A picture whose address holds a wrong key is sent by the visitor's browser, from the visitor's address."""
    strict: Platform = new_platform(EMCP_WRONG_TOKENS_PER_MINUTE="2")
    strict.api.create("any", "mcp = None\n")
    nobody = strict.api_as(None)
    for _ in range(5):
        answer = nobody.request("GET", "/api/any/mcp?key=emcp_wrong", headers={"Sec-Fetch-Dest": "image"})
        assert answer.status_code == 403, answer.text
    wrong = strict.api_as("emcp_wrong")
    assert wrong.request("GET", "/api/servers").status_code == 401, "the address must not be locked out"


@pytest.fixture(scope="module")
def signed_in(platform: Platform) -> Iterator[Api]:
    """The administrator's browser."""
    browser = platform.api_as(None)
    browser.call("POST", "/api/session", json={"token": platform.admin_token})
    yield browser


def routes_that_read(api: Api) -> list[str]:
    """Every GET of the API that needs a caller, with something for each parameter."""
    paths: Json = api.call("GET", "/api/openapi.json")["paths"]
    names = {"{id}": SERVER, "{number}": "1", "{name}": SERVER}
    found = []
    for path, methods in paths.items():
        # Who may ask nothing, or takes a token of its own and no cookie.
        if "get" not in methods or methods["get"].get("security") in ([{}], [{"bearer": []}]):
            continue
        for parameter, value in names.items():
            path = path.replace(parameter, value)
        assert "{" not in path, f"say what to put into {path}"
        found.append(path)
    return found


def test_the_cookie_reads_nothing_for_a_page_elsewhere(api: Api, hostile: str, signed_in: Api) -> None:
    foreign = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
    ]
    own: list[dict[str, str]] = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
    routes = routes_that_read(api)
    assert {"/api/backup", "/api/tokens", "/api/audit", "/api/settings", f"/api/servers/{SERVER}/code"} <= {*routes}
    for path in routes:
        for headers in foreign:
            for method in ("GET", "HEAD"):
                # warp takes HEAD for no GET.
                answer = signed_in.request(method, path, headers=headers)
                expected = (403,) if method == "GET" else (403, 405)
                assert answer.status_code in expected, f"{method} {path} {headers}: {answer.status_code}"
                assert method == "HEAD" or answer.json()["error"]["code"] == "origin_not_allowed"
        for headers in own:
            with signed_in.http.stream("GET", path, headers=headers) as answer:
                assert answer.status_code not in (401, 403), f"{path} {headers}: {answer.status_code}"
    for path in ("/metrics", "/metrics/traefik"):
        assert signed_in.request("GET", path).status_code == 404


def test_no_other_page_signs_in_or_out(platform: Platform, signed_in: Api) -> None:
    for headers in ({"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for method in ("POST", "DELETE"):
            answer = platform.api_as(None).request(
                method, "/api/session", headers=headers, json={"token": platform.admin_token}
            )
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


def test_a_token_reads_wherever_the_request_comes_from(api: Api) -> None:
    """Only the cookie is sent by browsers by themselves."""
    headers = {"Origin": "https://tools.example", "Sec-Fetch-Site": "cross-site"}
    assert api.request("GET", "/api/servers", headers=headers).status_code == 200


@pytest.mark.parametrize("http2", [False, True])
def test_nobody_tells_a_server_who_is_signed_in_but_the_gate(
    platform: Platform, tokens_of_two: tuple[str, str], http2: bool
) -> None:
    wire = (Http2Wire if http2 else Http1Wire)(platform, *tokens_of_two)
    forged = [*IDENTITY_HEADERS, *(name.lower() for name in IDENTITY_HEADERS)]
    lines = [f"{name}: forged" for name in [*forged, *OTHER_HEADERS]]
    answer = wire.get(f"/api/{OWN}/mcp", *lines)
    assert answer.status == 200
    assert not [name for name in IDENTITY_HEADERS if answer.seen_headers(name.lower())]
    assert answer.seen_headers("x-emcp-user") == [f"only-{OWN}"]
    for name in OTHER_HEADERS:
        assert answer.seen_headers(name.lower()) == ["forged"], name


def test_the_dashboards_own_answers_are_for_its_own_pages(api: Api) -> None:
    for path in ("/", "/api/servers", "/healthz", "/no/such/page"):
        headers = api.request("GET", path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        # The certificate is of EMCP's own CA, which browsers need not know.
        assert "strict-transport-security" not in headers
