"""Pages of other origins: those the operator allows may call servers and read what comes back, all others may
not, and nobody with a cookie. A real browser does the same in tests/ui/pages/inspector.mjs."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.clients import bearer
from support.running import Platform

Json = dict[str, Any]

PAGE = "http://localhost:6274"
ALLOWED = [PAGE, "app://obsidian.md", "vscode-webview://0c4m3fk1", "file://", "null"]
REFUSED = ["https://evil.example", "http://localhost:62740", "vscode-file://x", "app://obsidian.md.evil", "vscode-webview://"]
ASKED = "authorization,content-type,mcp-protocol-version,mcp-session-id,x-api-key,x-own"
# A server that says itself who may read it, and would let everybody.
GENEROUS = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def open_to_all(request):
    status = int(request.query_params.get("status", "200"))
    return PlainTextResponse("for all", status, headers={
        "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": "*",
        "Access-Control-Expose-Headers": "Set-Cookie", "Timing-Allow-Origin": "*"})

app = Starlette(routes=[Route("/{path:path}", open_to_all, methods=["GET", "POST", "OPTIONS"])])
"""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}},
}
MCP = {"Accept": "application/json, text/event-stream"}
SERVER = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x')\n"


@pytest.fixture(scope="module")
def open_to_pages(new_platform: Callable[..., Platform]) -> Iterator[Platform]:
    platform = new_platform(EMCP_ALLOWED_ORIGINS=f"{PAGE}, app://obsidian.md,vscode-webview://*,file://,null")
    platform.api.create("called", SERVER, start="true")
    platform.api.create("generous", GENEROUS, start="true")
    platform.api.create("stopped", SERVER)
    for name in ("called", "generous"):
        platform.api.wait_for(name, "running")
    yield platform


def preflight(platform: Platform, path: str, origin: str, **more: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ASKED,
        "Sec-Fetch-Dest": "empty",
        **more,
    }
    return platform.api_as(None).request("OPTIONS", path, headers=headers)


def cors_of(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.multi_items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [*ALLOWED, "own"])
def test_an_allowed_origin_may_ask_call_and_read(open_to_pages: Platform, origin: str) -> None:
    origin = open_to_pages.public_url if origin == "own" else origin
    asked = preflight(open_to_pages, "/api/called/mcp", origin)
    assert asked.is_success, asked.text
    assert asked.headers["access-control-allow-origin"] == origin
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == ASKED
    assert int(asked.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in asked.headers
    assert "origin" in asked.headers["vary"].lower()
    answer = open_to_pages.api.request("POST", "/api/called/mcp", json=INITIALIZE, headers={**MCP, "Origin": origin})
    assert answer.status_code == 200, answer.text
    assert_may_be_read(answer, origin)
    assert "mcp-session-id" in answer.headers


def assert_may_be_read(answer: httpx.Response, origin: str) -> None:
    assert answer.headers.get_list("access-control-allow-origin") == [origin]
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("mcp-session-id", "mcp-protocol-version", "www-authenticate"):
        assert name in exposed
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()
    # What a server answers stays no page of the host (ADR 11).
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("origin", REFUSED)
def test_any_other_origin_is_refused_and_told_by_which_setting(open_to_pages: Platform, origin: str) -> None:
    asked = preflight(open_to_pages, "/api/called/mcp", origin)
    called = open_to_pages.api.request("POST", "/api/called/mcp", json=INITIALIZE, headers={**MCP, "Origin": origin})
    for answer in (asked, called):
        assert answer.status_code == 403
        error = answer.json()["error"]
        assert error["code"] == "origin_not_allowed"
        assert "EMCP_ALLOWED_ORIGINS" in error["message"]
        assert f'"{origin}"' in error["message"]
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["null", "file://", "app://obsidian.md", "vscode-webview://x", PAGE])
def test_by_default_only_the_dashboards_own_origin_is_allowed(platform: Platform, origin: str) -> None:
    assert preflight(platform, "/api/any/mcp", origin).status_code == 403
    own = preflight(platform, "/api/any/mcp", platform.public_url)
    assert own.is_success
    assert own.headers["access-control-allow-origin"] == platform.public_url


def test_a_page_can_read_why_it_was_refused(open_to_pages: Platform) -> None:
    nobody, holder = open_to_pages.api_as(None), open_to_pages.api
    origin = {"Origin": PAGE}
    for answer, status in [
        (nobody.request("POST", "/api/called/mcp", json=INITIALIZE, headers=origin), 401),
        (nobody.request("POST", "/api/no-such/mcp", json=INITIALIZE, headers=origin), 401),
        (holder.request("POST", "/api/no-such/mcp", json=INITIALIZE, headers=origin), 404),
        (holder.request("POST", "/api/stopped/mcp", json=INITIALIZE, headers=origin), 503),
        (holder.request("GET", "/api/called/nothing-there", headers=origin), 404),
        (holder.request("POST", "/api/called/mcp", content=b"x" * 8_000_001, headers=origin), 413),
        (nobody.request("GET", "/.well-known/oauth-protected-resource", headers=origin), 404),
        (nobody.request("POST", "/register", json={}, headers=origin), 400),
        (nobody.request("POST", "/api/called/register", json={}, headers=origin), 400),
    ]:
        assert answer.status_code == status, f"{answer.request.url}: {answer.status_code} {answer.text}"
        assert_may_be_read(answer, PAGE)
    for path in ("/register", "/token", "/.well-known/oauth-authorization-server", "/api/no-such/mcp", "/api/called/register"):
        assert preflight(open_to_pages, path, PAGE).headers["access-control-allow-origin"] == PAGE


def test_what_a_server_says_of_origins_itself_does_not_count(open_to_pages: Platform) -> None:
    holder = open_to_pages.api
    for status in ("200", "401", "500"):
        path = f"/api/generous/mcp?status={status}"
        by_page = holder.request("POST", path, headers={"Origin": PAGE})
        assert by_page.text == "for all"
        assert_may_be_read(by_page, PAGE)
        assert by_page.headers.get_list("access-control-expose-headers") != ["Set-Cookie"]
        assert set(cors_of(by_page)) == {"access-control-allow-origin", "access-control-expose-headers"}
        assert "timing-allow-origin" not in by_page.headers
        # Not by a browser's page.
        assert set(cors_of(holder.request("POST", path))) == {"access-control-expose-headers"}
    # Its answer to a preflight is not asked for, with a token or without.
    for headers in ({}, bearer(open_to_pages.admin_token)):
        refused = preflight(open_to_pages, "/api/generous/mcp", "https://evil.example", **headers)
        assert refused.status_code == 403
        assert cors_of(refused) == {}


def test_the_dashboards_api_is_no_other_origins(open_to_pages: Platform) -> None:
    for path in ("/api/servers", "/api/session", "/api/openapi.json", "/", "/healthz"):
        for answer in (
            preflight(open_to_pages, path, PAGE),
            open_to_pages.api.request("GET", path, headers={"Origin": PAGE}),
        ):
            assert cors_of(answer) == {}, path


def test_a_session_opened_by_the_dashboards_cookie_is_no_client(open_to_pages: Platform) -> None:
    signed_in = open_to_pages.api_as(None)
    origin = {"Origin": open_to_pages.public_url}
    token = {"token": open_to_pages.admin_token}
    assert signed_in.request("POST", "/api/session", json=token, headers=origin).is_success
    for page in (PAGE, open_to_pages.public_url):
        answer = signed_in.request("POST", "/api/called/mcp", json=INITIALIZE, headers={**MCP, "Origin": page})
        assert answer.status_code == 401


def test_odd_questions_get_no_more_than_others(open_to_pages: Platform) -> None:
    long = ",".join(f"x-{n}" for n in range(1_000))
    answer = preflight(open_to_pages, "/api/called/mcp", PAGE, **{"Access-Control-Request-Headers": long})
    assert "Mcp-Session-Id" in answer.headers["access-control-allow-headers"]
    assert "x-999" not in answer.headers["access-control-allow-headers"]
    for asked in (b"a:b", b"<script>", b"\xe9"):
        headers = [(b"Origin", PAGE.encode()), (b"Access-Control-Request-Method", b"POST")]
        headers.append((b"Access-Control-Request-Headers", asked))
        answer = open_to_pages.api_as(None).http.request("OPTIONS", "/api/called/mcp", headers=headers)
        assert answer.status_code in (204, 400)
        assert asked.decode("latin-1") not in answer.headers.get("access-control-allow-headers", "")
