"""Servers with credentials of their own: what reaches them of the client's, and that EMCP's never does."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.api import Api
from support.clients import CLIENTS, TRANSPORTS, ClientDriver, bearer
from support.running import Platform
from support.wire import TEACHER, Http1Wire, Http2Wire, Wire

Json = dict[str, Any]

OWN = "Bearer meant-for-the-server"
WRONG = f"emcp_{'f' * 64}"

# Tells what reached it, and serves nobody who lacks its own token.
GUARDED = """
from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from fastmcp.server.dependencies import get_http_headers

tokens = {"meant-for-the-server": {"client_id": "own", "scopes": []}}
mcp = FastMCP("guarded", auth=StaticTokenVerifier(tokens=tokens))

@mcp.tool
def headers() -> dict[str, str]:
    return get_http_headers(include_all=True)
"""
# The same by a middleware around a server of the SDK, with 403.
BEHIND_MIDDLEWARE = """
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from starlette.responses import JSONResponse

mcp = FastMCP("guarded", json_response=True)

@mcp.tool()
def headers(ctx: Context) -> dict[str, str]:
    return dict(ctx.request_context.request.headers)

class Guard:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != b"Bearer meant-for-the-server":
            await JSONResponse({"error": "invalid_token"}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

app = mcp.streamable_http_app()
app.add_middleware(Guard)

if __name__ == "__main__":
    uvicorn.run(app)
"""
# Serves everybody, and tells what reached it.
ECHO = """
from mcp.server.fastmcp import Context, FastMCP

mcp = FastMCP("echo", stateless_http=True, json_response=True)

@mcp.tool()
def headers(ctx: Context) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in ctx.request_context.request.headers.items():
        found.setdefault(name, []).append(value)
    return found
"""
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "headers", "arguments": {}}}
MCP = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def echoes(platform: Platform) -> Iterator[Platform]:
    """`echo`, and `asks`, which is passed the Authorization header."""
    platform.api.create("echo", ECHO, start="true")
    platform.api.create("asks", ECHO, start="true", pass_headers='["Authorization"]')
    for name in ("echo", "asks"):
        platform.api.wait_for(name, "running")
    yield platform
    for name in ("echo", "asks"):
        platform.api.delete(name)


def call(platform: Platform, server: str, headers: list[tuple[str, str]] | dict[str, str], query: str = "") -> httpx.Response:
    given = headers.items() if isinstance(headers, dict) else headers
    nobody = platform.api_as(None)
    return nobody.request("POST", f"/api/{server}/mcp{query}", json=CALL, headers=[*MCP.items(), *given])


def seen(answer: httpx.Response) -> dict[str, list[str]]:
    """What the tool saw."""
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert not result.get("isError"), result
    found: dict[str, list[str]] = json.loads(result["content"][0]["text"])
    return found


def test_a_key_for_the_server_passes_beside_emcps_bearer(echoes: Platform) -> None:
    for server in ("echo", "asks"):
        found = seen(call(echoes, server, {**bearer(echoes.admin_token), "X-API-Key": "own-key"}))
        assert found["x-api-key"] == ["own-key"]
        assert "authorization" not in found


def test_a_bearer_for_the_server_is_no_wrong_token_and_passes_where_it_is_asked_for(echoes: Platform) -> None:
    headers = {"X-API-Key": echoes.admin_token, "Authorization": OWN}
    assert "authorization" not in seen(call(echoes, "echo", headers))
    found = seen(call(echoes, "asks", headers))
    assert found["authorization"] == [OWN]
    assert "x-api-key" not in found
    # And where the token is in the URL.
    token = echoes.api.connect_token("by url and bearer", ["asks"])
    found = seen(call(echoes, "asks", {"Authorization": OWN, "X-API-Key": "own-key"}, f"?key={token}"))
    assert (found["authorization"], found["x-api-key"]) == ([OWN], ["own-key"])


def test_emcps_own_never_reaches_a_server(echoes: Platform) -> None:
    admin = echoes.admin_token
    api = echoes.api
    other = api.connect_token("another of emcps", ["echo", "asks"])
    revoked = api.call("POST", "/api/tokens", json={"name": "gone", "role": "connect", "servers": ["asks"]})
    api.call("DELETE", f"/api/tokens/{revoked['id']}")
    for dressed in (admin, other, revoked["token"], WRONG):
        basic = base64.b64encode(f"user:{dressed}".encode()).decode()
        for value in (f"Bearer {dressed}", dressed, f"Basic {basic}", f"own, {dressed}", f"{OWN},Bearer {dressed}"):
            found = seen(call(echoes, "asks", {"X-API-Key": admin, "Authorization": value}))
            assert dressed not in json.dumps(found) and basic not in json.dumps(found), value
            found = seen(call(echoes, "asks", {**bearer(admin), "X-API-Key": value}))
            assert dressed not in json.dumps(found) and basic not in json.dumps(found), value
    for name in ("cookie", "x-emcp-user", "x-emcp-gateway-key", "x-forwarded-user"):
        found = seen(call(echoes, "asks", {"X-API-Key": admin, "Authorization": OWN, name: "forged"}))
        assert found.get(name) in (None, ["admin"])


@pytest.mark.parametrize("wire", [Http1Wire, Http2Wire])
def test_of_a_header_that_comes_twice_nothing_passes(echoes: Platform, wire: type[Wire]) -> None:
    asks = wire(echoes, echoes.admin_token, echoes.admin_token)
    twice = [
        [f"X-API-Key: {echoes.admin_token}", f"Authorization: {OWN}", "Authorization: Bearer second"],
        [f"X-API-Key: {echoes.admin_token}", f"authorization: {OWN}", f"Authorization: Bearer {echoes.admin_token}"],
        [f"Authorization: Bearer {echoes.admin_token}", "X-API-Key: one", "x-api-key: two"],
        [f"Authorization: Bearer {echoes.admin_token}", "X-API-Key: one", f"x-api-key: {echoes.admin_token}"],
    ]
    for lines in twice:
        lines = [line.lower().replace("bearer", "Bearer") if wire is Http2Wire else line for line in lines]
        answer = asks.request("GET", "/api/teller/mcp", *lines)
        assert answer.status == 200, answer
        for name in ("authorization", "x-api-key"):
            assert answer.seen_headers(name) == [], lines


@pytest.fixture(scope="module", autouse=True)
def teller(platform: Platform) -> Iterator[None]:
    """Answers GET with all the headers that reached it, one by one."""
    platform.api.create("teller", TEACHER, start="true", entry_object="app", pass_headers='["Authorization"]')
    platform.api.wait_for("teller", "running")
    yield
    platform.api.delete("teller")


@pytest.mark.parametrize("wire", [Http1Wire, Http2Wire])
def test_spaces_around_a_value_are_not_part_of_it(platform: Platform, wire: type[Wire]) -> None:
    asks = wire(platform, platform.admin_token, platform.admin_token)
    token = platform.admin_token
    for line in (
        f"authorization: Bearer  {token} ",
        f"authorization:  Bearer {token}",
        f"authorization: bearer\t{token}\t",
        f"x-api-key:  {token} ",
        f"x-api-key: \t{token}",
    ):
        assert asks.request("GET", "/api/teller/mcp", line).status == 200, line
        # The same around Traefik, where nobody trims on the way.
        direct = http.client.HTTPConnection(urlsplit(platform.upstream_url).netloc, timeout=30)
        name, _, value = line.partition(":")
        direct.request("GET", "/api/servers", headers={name: value})
        assert direct.getresponse().status == 200, line
        direct.close()
    for line in ("authorization: Bearer", "authorization: Bearer  ", "x-api-key:  "):
        assert asks.request("GET", "/api/teller/mcp", line).status == 401, line


def test_two_wrong_credentials_are_two_wrong_tokens_and_a_foreign_one_is_none(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(EMCP_WRONG_TOKENS_PER_MINUTE="10")
    platform.api.create("watched", ECHO)
    right = {"X-API-Key": platform.admin_token, "Authorization": OWN}
    for _ in range(30):
        assert call(platform, "watched", right).status_code == 503
    assert call(platform, "watched", bearer(WRONG)).status_code == 401
    two = {"X-API-Key": WRONG, "Authorization": OWN}
    answers = [call(platform, "watched", two).status_code for _ in range(6)]
    assert answers[:4] == [401] * 4
    assert answers[-1] == 429
    # Whoever has a right token goes on, whatever stands beside it.
    assert call(platform, "watched", right).status_code == 503


@pytest.mark.parametrize(
    ("code", "runtime", "status"),
    [(GUARDED, "mcp1", 401), (GUARDED, "mcp2", 401), (BEHIND_MIDDLEWARE, "auto", 403)],
    ids=["fastmcp 3", "fastmcp 4", "middleware"],
)
def test_a_server_that_checks_its_own_is_told_at_once_and_runs_with_pass_headers(
    platform: Platform, drivers: dict[str, ClientDriver], code: str, runtime: str, status: int
) -> None:
    api = platform.api
    created = api.create("guarded", code, start="true", runtime=runtime)
    try:
        failed = api.wait_for("guarded", "error")
        assert failed["last_error"]["code"] == "wants_credential", failed
        assert failed["last_error"]["args"] == {"status": status}
        assert "pass_headers" in failed["last_error"]["message"]
        assert failed["retry_at"] is None
        changed = api.call("PATCH", f"/api/servers/{created['id']}", json={"pass_headers": ["Authorization"]})
        assert changed["pass_headers"] == ["Authorization"]
        running = api.action("guarded", "start", wait_secs=90)
        assert running["status"] == "running", running
        both = {"X-API-Key": platform.admin_token, "Authorization": OWN}
        for client in CLIENTS:
            for transport in TRANSPORTS:
                steps = [{"op": "call_tool", "name": "headers"}]
                report = drivers[client].run(f"{platform.public_url}/api/guarded", transport, both, steps)
                text = json.dumps(report.value(0))
                assert "meant-for-the-server" in text, text
                assert platform.admin_token not in text
        # Without the server's own, its own refusal comes back.
        refused = call(platform, "guarded", {"X-API-Key": platform.admin_token})
        assert refused.status_code == status
        assert "unauthenticated" not in refused.text
        tools = api.request("GET", "/api/servers/guarded/tools")
        assert tools.status_code == 502
        assert "credential of its own" in tools.json()["error"]["message"]
    finally:
        api.delete("guarded")


def test_what_may_be_asked_for_is_bounded(api: Api) -> None:
    created = api.create("asking", ECHO, pass_headers='["Authorization","authorization","X-Upstream-Token"]')
    try:
        assert created["pass_headers"] == ["Authorization", "X-Upstream-Token"]
        assert api.server("asking")["pass_headers"] == ["Authorization", "X-Upstream-Token"]
        for bad in (["Cookie"], ["X-Emcp-User"], ["Host"], ["X-Forwarded-User"], ["Remote-User"], ["a b"], [""], [f"x{n}" for n in range(9)]):
            for method, path, body in (
                ("PATCH", "/api/servers/asking", {"pass_headers": bad}),
                ("POST", "/api/servers", {"name": "asking-2", "code": ECHO, "start": False, "pass_headers": bad}),
            ):
                answer = api.request(method, path, json=body)
                assert answer.status_code == 400, f"{bad}: {answer.text}"
                error = answer.json()["error"]
                assert (error["code"], error["field"]) == ("invalid_pass_headers", "pass_headers")
        assert api.call("PATCH", "/api/servers/asking", json={"pass_headers": []})["pass_headers"] == []
    finally:
        api.delete("asking")
