"""Tokens in URLs (`?key=`): which ones are taken, and who gets to see them. What came of a token ends with it."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.api import Api
from support.clients import CLIENTS, ClientDriver, bearer
from support.running import Platform
from support.streams import HANDSHAKE, STREAM_HEADERS, SseSession

Json = dict[str, Any]

SERVER = "key-watcher"
OTHER = "fixture-v2"
PING = {"jsonrpc": "2.0", "id": 99, "method": "ping"}
# Code in the server's process reads what the bootstrap's HTTP server reads, before anything is taken out of it.
WATCHER = """
import json
import uvicorn.protocols.http.httptools_impl as wire
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Watcher")
seen = []
read = wire.HttpToolsProtocol.data_received

def watched(self, data):
    seen.append(data.decode("latin-1"))
    return read(self, data)

wire.HttpToolsProtocol.data_received = watched

@mcp.tool()
def overheard() -> str:
    return json.dumps(seen)
"""


@pytest.fixture(scope="module", autouse=True)
def watcher(api: Api, fixtures: dict[str, Json]) -> Iterator[Json]:
    api.create(SERVER, WATCHER, start="true")
    yield api.wait_for(SERVER, "running")
    api.delete(SERVER)


@pytest.fixture(scope="module")
def token(api: Api) -> str:
    return api.connect_token("one-server", [SERVER])


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    """Follows no redirect, has no token."""
    with httpx.Client(base_url=api.public_url, verify=api.tls, timeout=30, trust_env=False) as http:
        yield http


def code_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    code: str = answer.json()["error"]["code"]
    return code


def test_a_url_takes_only_a_connect_token_for_this_server_alone(platform: Platform, http: httpx.Client) -> None:
    api = platform.api
    developer = api.call("POST", "/api/tokens", json={"name": "url-dev", "role": "developer"})["token"]
    tokens = {
        "admin": platform.admin_token,
        "developer": developer,
        "all servers": api.connect_token("url-all", None),
        "two servers": api.connect_token("url-two", [SERVER, OTHER]),
    }
    api.call("PATCH", f"/api/servers/{SERVER}", json={"members": ["url-dev"]})
    for name, wide in tokens.items():
        for path in ("mcp", "sse"):
            answer = http.get(f"/api/{SERVER}/{path}?key={wide}")
            assert code_of(answer, 403) == "token_not_for_url", (name, path)
            assert "connect" in answer.json()["error"]["message"]
        initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
        answer = http.post(f"/api/{SERVER}/mcp?key={wide}", json=initialize, headers=STREAM_HEADERS)
        assert code_of(answer, 403) == "token_not_for_url", name
        # In a header each of them is as good as before.
        answer = http.post(f"/api/{SERVER}/mcp", json=initialize, headers={**STREAM_HEADERS, **bearer(wide)})
        assert answer.status_code == 200, name


def test_a_server_named_twice_is_one_server(api: Api, http: httpx.Client) -> None:
    made = api.call("POST", "/api/tokens", json={"name": "twice", "role": "connect", "servers": [SERVER, SERVER]})
    assert made["usable_in_url"] and len(made["servers"]) == 1
    assert http.get(f"/api/{SERVER}/sse?key={made['token']}").status_code == 307


def test_the_api_says_which_token_a_url_takes(api: Api) -> None:
    urls = api.call("GET", f"/api/servers/{SERVER}/connection")["urls_with_key"]
    assert urls["sse"] == f"{api.public_url}/api/{SERVER}/sse?key=YOUR_TOKEN"
    assert urls["mcp"] == f"{api.public_url}/api/{SERVER}/mcp?key=YOUR_TOKEN"
    usable = {token["name"]: token["usable_in_url"] for token in api.call("GET", "/api/tokens")["tokens"]}
    assert usable["url-two"] is False and usable["url-all"] is False and usable["twice"] is True


@pytest.mark.parametrize("client", CLIENTS)
def test_the_servers_code_does_not_see_the_key_that_opens_a_stream(
    api: Api, drivers: dict[str, ClientDriver], client: str
) -> None:
    token = api.connect_token(f"unseen-{client}", [SERVER])
    call = {"op": "call_tool", "name": "overheard", "arguments": {}}
    report = drivers[client].run(f"{api.public_url}/api/{SERVER}", "sse", {}, [call], query=f"?x=1&key={token}")
    heard = "".join(json.loads(report.value(0)["content"][0]["text"]))
    assert "GET /sse?x=1&emcp_ticket=" in heard, "the watcher did not watch"
    assert token not in heard


def test_a_client_that_does_not_follow_is_told_what_else_to_do(api: Api, http: httpx.Client, token: str) -> None:
    answer = http.get(f"/api/{SERVER}/sse?key={token}")
    assert code_of(answer, 307) == "follow_redirect"
    location = urlsplit(answer.headers["location"])
    # Wherever the client came from, it stays there.
    assert (location.scheme, location.netloc, location.path) == ("", "", f"/api/{SERVER}/sse")
    assert parse_qs(location.query).keys() == {"emcp_ticket"}
    assert token not in answer.text + str(answer.headers)


def test_an_opening_ticket_opens_this_servers_stream_and_nothing_else(api: Api, http: httpx.Client) -> None:
    made = api.call("POST", "/api/tokens", json={"name": "opening", "role": "connect", "servers": [SERVER]})
    location = http.get(f"/api/{SERVER}/sse?key={made['token']}").headers["location"]
    ticket = parse_qs(urlsplit(location).query)["emcp_ticket"][0]
    for path in (f"{OTHER}/sse", f"{SERVER}/mcp", f"{SERVER}/messages/", f"{SERVER}/other"):
        assert code_of(http.get(f"/api/{path}?emcp_ticket={ticket}"), 401) == "unauthenticated", path
    with http.stream("GET", location, headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
    api.call("DELETE", f"/api/tokens/{made['id']}")
    assert code_of(http.get(location), 401) == "unauthenticated"


def test_what_came_of_the_admin_token_ends_with_its_rotation(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform()
    platform.api.create("rotated", WATCHER, start="true")
    platform.api.wait_for("rotated", "running")
    browser = platform.api_as(None)
    assert browser.request("POST", "/api/session", json={"token": platform.admin_token}).is_success
    assert browser.call("GET", "/api/session")["signed_in"] is True
    made = platform.api.call("POST", "/api/tokens", json={"name": "stays", "role": "connect", "servers": ["rotated"]})
    colleague = platform.api.call("POST", "/api/tokens", json={"name": "colleague", "role": "viewer"})
    other_browser = platform.api_as(None)
    assert other_browser.request("POST", "/api/session", json={"token": colleague["token"]}).is_success
    with SseSession(platform.api, "rotated", {}, query=f"?key={made['token']}") as session:
        platform.stop_emcp()
        (platform.data_dir / "admin-token").write_text("emcp_another-token-of-the-administrator")
        platform.start_emcp()
        platform.wait_ready()
        # The cookie of the old token is nobody's now, and makes no token.
        assert browser.call("GET", "/api/session") == {"signed_in": False}
        body = {"name": "thief", "role": "admin"}
        own = {"Origin": platform.public_url}
        answer = browser.request("POST", "/api/tokens", json=body, headers=own)
        assert code_of(answer, 401) == "unauthenticated"
        # What came of others' tokens goes on.
        assert other_browser.call("GET", "/api/session")["signed_in"] is True
        session.post(PING)
