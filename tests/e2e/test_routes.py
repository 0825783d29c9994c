"""What Traefik routes where, and how streams pass through it."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Api
from support.clients import ClientDriver
from support.running import Platform
from support.streams import HANDSHAKE, STREAM_HEADERS, HttpSession, SseSession, knock, messages

Json = dict[str, Any]

SERVER = "fixture-v1"
BURST = 300
EVENTS = 500
LARGE_BYTES = 3 * 1024 * 1024
# What a request's body may have (docs/adr/0007).
BODY_MAX_BYTES = 8_000_000


@pytest.fixture(scope="module", autouse=True)
def running(fixtures: dict[str, Json]) -> dict[str, Json]:
    return fixtures


def test_plain_http_is_sent_to_https(platform: Platform) -> None:
    answer = httpx.get(f"{platform.http_url}/api/servers?q=x", verify=TRUSTS_NOBODY, trust_env=False)
    assert answer.status_code in (307, 308, 302, 301)
    assert answer.headers["location"] == f"{platform.public_url}/api/servers?q=x"


def test_anybody_may_download_the_ca_and_only_its_certificate(platform: Platform) -> None:
    answer = platform.api_as(None).request("GET", "/ca.crt")
    assert answer.status_code == 200
    assert answer.text == platform.ca_file.read_text()
    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" not in answer.text


def test_the_certificate_is_refused_by_who_does_not_trust_the_ca(platform: Platform) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{platform.public_url}/healthz", verify=TRUSTS_NOBODY, trust_env=False)


@pytest.mark.parametrize("path", ["/gate", "/gate?server=x", "/traefik/config", "/metrics", "/readyz"])
def test_the_internal_listener_is_not_reachable_from_outside(platform: Platform, path: str) -> None:
    for url, tls in ((platform.public_url, platform.api.tls), (platform.upstream_url, TRUSTS_NOBODY)):
        with httpx.Client(verify=tls, trust_env=False) as http:
            answer = http.get(f"{url}{path}", headers={"Authorization": f"Bearer {platform.admin_token}"})
        assert answer.status_code == 404, f"{url}{path}: {answer.status_code} {answer.text[:200]}"


def test_the_traefik_configuration_needs_the_provider_token(platform: Platform) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {platform.admin_token}"}):
        url = f"{platform.internal_url}/traefik/config"
        answer = httpx.get(url, headers=headers, verify=TRUSTS_NOBODY, trust_env=False)
        assert answer.status_code in (401, 403), answer.text[:200]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/api/fixture-v1/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ],
)
def test_clients_that_look_for_oauth_find_none(platform: Platform, path: str) -> None:
    """MCP clients probe these after a 401; a page instead of a 404 sends them astray."""
    assert platform.api_as(None).request("GET", path).status_code == 404


def test_a_name_that_begins_like_a_servers_is_another_server(api: Api, admin_headers: dict[str, str]) -> None:
    assert knock(api, f"{SERVER}x", admin_headers).status_code == 404
    assert knock(api, f"{SERVER}-2", admin_headers).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/fixture-v1%2fmcp",
        "/api/fixture-v1/..%2f..%2fapi/servers",
        "/api/fixture-v1/%5c..%5c",
        "/api/fixture-v1/%00",
        "/api/fixture-v1/x%3by",
        "/api/fixture-v1/%25",
        "/api/fixture-v1/%3f",
        "/api/fixture-v1/%23",
    ],
)
def test_paths_that_a_server_could_read_differently_are_refused(
    platform: Platform, admin_headers: dict[str, str], path: str
) -> None:
    assert raw_get(platform, path, admin_headers) == 400


def test_dots_are_resolved_before_the_gate_is_asked(api: Api, platform: Platform) -> None:
    """A token for one server must not reach another by way of its neighbour's path."""
    token = api.connect_token("dots", [SERVER])
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/api/fixture-v1/../fixture-v2/mcp", "/api/fixture-v1/%2e%2e/fixture-v2/mcp"):
        assert raw_get(platform, path, headers) == 403


def test_a_slash_at_the_end_changes_nothing(api: Api, admin_headers: dict[str, str]) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    answer = api.request("POST", f"/api/{SERVER}/mcp/", json=body, headers={**STREAM_HEADERS, **admin_headers})
    assert answer.status_code == 200, answer.text
    assert answer.history == []


@pytest.mark.parametrize("server", ["fixture-v1", "fixture-v2"])
def test_the_sse_endpoint_is_named_as_clients_reach_it(api: Api, admin_headers: dict[str, str], server: str) -> None:
    with SseSession(api, server, admin_headers) as session:
        assert session.endpoint.startswith(f"/api/{server}/messages/?session_id=")


@pytest.mark.parametrize("server", ["fixture-v1", "fixture-v2"])
def test_sse_events_pass_at_once(api: Api, admin_headers: dict[str, str], server: str) -> None:
    """The progress of a call is here before the call can end; a buffering proxy would deadlock this."""
    with SseSession(api, server, admin_headers) as session, SseSession(api, server, admin_headers) as other:
        request_id = session.send("tools/call", {"name": "hold", "arguments": {"key": "sse"}}, "hold-sse")
        assert session.next_message()["params"]["message"] == "holding"
        assert other.call_tool("release", {"key": "sse"}) == "released sse"
        answer = session.next_message()
        assert answer["id"] == request_id
        assert answer["result"]["content"][0]["text"] == "held until released: sse"


@pytest.mark.parametrize("server", ["fixture-v1", "fixture-v2"])
def test_streamable_http_events_pass_at_once(api: Api, admin_headers: dict[str, str], server: str) -> None:
    with HttpSession(api, server, admin_headers) as session, HttpSession(api, server, admin_headers) as other:
        call = {"name": "hold", "arguments": {"key": "http"}}
        with session.stream("tools/call", call, "hold-http") as response:
            arriving = messages(response)
            assert next(arriving)["params"]["message"] == "holding"
            assert other.call_tool("release", {"key": "http"}) == "released http"
            assert next(arriving)["result"]["content"][0]["text"] == "held until released: http"


@pytest.mark.parametrize("server", ["fixture-v1", "fixture-v2"])
def test_no_event_of_a_stream_is_lost(api: Api, admin_headers: dict[str, str], server: str) -> None:
    call = {"name": "count", "arguments": {"steps": EVENTS, "pause_ms": 0}}
    with SseSession(api, server, admin_headers) as over_sse:
        over_sse.send("tools/call", call, "sse")
        arrived = [over_sse.next_message() for _ in range(EVENTS + 1)]
    assert [event["params"]["progress"] for event in arrived[:-1]] == list(range(1, EVENTS + 1))
    with HttpSession(api, server, admin_headers) as over_http, over_http.stream("tools/call", call, "http") as response:
        arrived = list(messages(response))
    assert [event["params"]["progress"] for event in arrived[:-1]] == list(range(1, EVENTS + 1))
    assert arrived[-1]["result"]["content"][0]["text"] == f"counted to {EVENTS}"


@pytest.mark.parametrize("server", ["fixture-v1", "fixture-v2"])
def test_no_fast_answer_is_cut(api: Api, admin_headers: dict[str, str], server: str) -> None:
    """A POST answered by a stream within a millisecond has been seen cut by proxies: every one must arrive."""
    with HttpSession(api, server, admin_headers) as session:
        answers = [session.call_tool("add", {"a": number, "b": 1}) for number in range(BURST)]
    assert answers == [str(number + 1) for number in range(BURST)]


def test_no_fast_answer_to_a_real_client_is_cut(
    api: Api, drivers: dict[str, ClientDriver], admin_headers: dict[str, str]
) -> None:
    """The same with the client that met it: it would wait a minute for each lost answer."""
    steps: list[Json] = [
        {"op": "call_tool", "name": "add", "arguments": {"a": number, "b": 1}} for number in range(BURST)
    ]
    report = drivers["typescript-1"].run(f"{api.public_url}/api/{SERVER}", "http", admin_headers, steps)
    assert [report.value(number)["content"][0]["text"] for number in range(BURST)] == [
        str(number + 1) for number in range(BURST)
    ]


@pytest.mark.parametrize("session", [SseSession, HttpSession])
def test_a_large_argument_and_a_large_answer_pass_whole(
    api: Api, admin_headers: dict[str, str], session: type[SseSession] | type[HttpSession]
) -> None:
    text = "0123456789ab" * (LARGE_BYTES // 12)
    with session(api, SERVER, admin_headers) as connected:
        assert connected.call_tool("reverse", {"text": text}) == text[::-1]


@pytest.mark.parametrize("is_told", [True, False], ids=["told length", "untold length"])
@pytest.mark.parametrize("over", ["http1", "http2"])
def test_one_limit_for_a_requests_body_and_one_sentence(
    api: Api, admin_headers: dict[str, str], over: str, is_told: bool
) -> None:
    headers = {**admin_headers, **STREAM_HEADERS, "Content-Type": "application/json"}
    client = httpx.Client(
        base_url=api.public_url, verify=api.tls, http2=over == "http2", trust_env=False, timeout=60, headers=headers
    )
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}

    def post(path: str, message: Json, size: int) -> httpx.Response:
        # Blanks around JSON mean nothing.
        body = json.dumps(message).encode().ljust(size)
        pieces = (body[at : at + 65_536] for at in range(0, size, 65_536))
        return client.post(path, content=body if is_told else pieces)

    with client, SseSession(api, SERVER, admin_headers) as session:
        messages = session.endpoint
        for path, message, good in [
            (f"/api/{SERVER}/mcp", hello, 200),
            (messages, {"jsonrpc": "2.0", "method": "notifications/initialized"}, 202),
        ]:
            for size in (3_900_000, 4_300_000, 7_900_000, BODY_MAX_BYTES):
                answer = post(path, message, size)
                assert answer.http_version == ("HTTP/2" if over == "http2" else "HTTP/1.1")
                assert answer.status_code == good, f"{path} {size}: {answer.status_code} {answer.text[:200]}"
            for size in (BODY_MAX_BYTES + 1, 8_100_000, 12_000_000):
                answer = post(path, message, size)
                assert answer.status_code == 413, f"{path} {size}: {answer.status_code} {answer.text[:200]}"
                assert answer.headers["content-type"] == "application/json"
                error = answer.json()["error"]
                assert error["code"] == "too_large"
                assert error["message"] == "a request's body may have at most 8,000,000 bytes (8 MB)"
    assert knock(api, SERVER, admin_headers).status_code == 200


def test_a_large_argument_arrives_whole_whether_its_length_is_told_or_not(
    api: Api, admin_headers: dict[str, str]
) -> None:
    text = "0123456789ab" * 640_000
    with HttpSession(api, SERVER, admin_headers) as session:
        assert session.call_tool("reverse", {"text": text}) == text[::-1]
        call = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "reverse", "arguments": {"text": text}}}
        body = json.dumps(call).encode()
        pieces = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
        headers = {**STREAM_HEADERS, **admin_headers, "Mcp-Session-Id": session.id, "Content-Type": "application/json"}
        answer = api.request("POST", f"/api/{SERVER}/mcp", content=pieces, headers=headers)
        assert answer.status_code == 200
        assert text[::-1] in answer.text


def test_a_new_server_is_reachable_when_it_is_called_running(api: Api, admin_headers: dict[str, str]) -> None:
    """`running` promises that Traefik has the route, so the very next request must arrive."""
    code = "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('fresh')\n"
    try:
        api.create("fresh", code)
        assert api.action("fresh", "start", wait_secs=60)["status"] == "running"
        assert knock(api, "fresh", admin_headers).status_code == 200
    finally:
        api.delete("fresh")


def test_a_restart_is_a_pause_and_no_error(api: Api, admin_headers: dict[str, str]) -> None:
    code = "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('paused')\n"
    try:
        api.create("paused", code)
        api.action("paused", "start", wait_secs=60)
        api.action("paused", "restart")
        # The gate holds this until the new container answers.
        assert knock(api, "paused", admin_headers).status_code == 200
    finally:
        api.delete("paused")


def raw_get(platform: Platform, path: str, headers: dict[str, str]) -> int:
    """The status of a GET whose path goes out as written; HTTP libraries would tidy it up first."""
    address = urlsplit(platform.public_url)
    assert address.hostname and address.port
    lines = [f"GET {path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with (
        socket.create_connection((address.hostname, address.port), timeout=10) as plain,
        platform.api.tls.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        status_line = connection.makefile("rb").readline().decode()
    return int(status_line.split()[1])
