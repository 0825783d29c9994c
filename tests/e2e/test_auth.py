"""The gate: who is let through to a server, and what the server gets to see of it."""

from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Api
from support.clients import CLIENTS, TRANSPORTS, ClientDriver, bearer
from support.running import Platform
from support.streams import HttpSession, SseSession, has_route, knock
from support.waits import until

Json = dict[str, Any]

SERVER = "fixture-v1"
OTHER = "fixture-v2"


@pytest.fixture(scope="module", autouse=True)
def running(fixtures: dict[str, Json]) -> dict[str, Json]:
    return fixtures


@pytest.fixture(scope="module")
def token(api: Api) -> str:
    """May use the one server and nothing else."""
    return api.connect_token("auth-tests", [SERVER])


def refusal(answer: httpx.Response, status: int) -> str:
    """The code of a refusal that a client can show."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    error = answer.json()["error"]
    assert error["message"]
    code: str = error["code"]
    return code


def test_without_a_token_it_is_401_and_says_how(api: Api) -> None:
    answer = knock(api, SERVER, {})
    assert refusal(answer, 401) == "unauthenticated"
    assert answer.headers["www-authenticate"].lower().startswith("bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer emcp_0000000000000000000000000000000000000000000"},
        {"Authorization": "Basic ZW1jcDplbWNw"},
        {"Authorization": "Bearer"},
        {"X-API-Key": "wrong"},
    ],
    ids=["unknown", "basic", "empty", "api-key"],
)
def test_with_a_wrong_token_it_is_401(api: Api, headers: dict[str, str]) -> None:
    answer = knock(api, SERVER, headers)
    assert refusal(answer, 401) == "unauthenticated"
    assert "www-authenticate" in answer.headers


def test_a_connect_token_opens_its_server_and_no_other(api: Api, token: str) -> None:
    assert knock(api, SERVER, bearer(token)).status_code == 200
    refusal(knock(api, OTHER, bearer(token)), 403)


def test_a_connect_token_does_not_open_the_management_api(platform: Platform, token: str) -> None:
    as_client = platform.api_as(token)
    refusal(as_client.request("GET", "/api/servers"), 403)
    refusal(as_client.request("DELETE", f"/api/servers/{SERVER}"), 403)
    refusal(as_client.request("POST", "/api/tokens", json={"name": "more", "role": "connect", "servers": None}), 403)


def test_the_management_api_needs_a_token(platform: Platform) -> None:
    as_nobody = platform.api_as(None)
    for method, path in [("GET", "/api/servers"), ("POST", "/api/servers"), ("GET", f"/api/servers/{SERVER}/logs")]:
        assert refusal(as_nobody.request(method, path), 401) == "unauthenticated"


def test_an_unknown_server_is_404_with_a_token_and_untold_without(api: Api, admin_headers: dict[str, str]) -> None:
    assert refusal(knock(api, "no-such-server", admin_headers), 404) == "server_not_found"
    # Otherwise anybody could find out the names of all servers.
    assert refusal(knock(api, "no-such-server", {}), 401) == "unauthenticated"


def test_a_stopped_server_is_503_and_says_when_to_come_back(api: Api, admin_headers: dict[str, str]) -> None:
    server = api.create("never-started", "mcp = None\n")
    try:
        # The route is there as soon as Traefik has fetched it; until then the server is unknown to it.
        answer = until(
            "the route of a new server",
            lambda: answer if has_route(answer := knock(api, "never-started", admin_headers)) else None,
            30,
        )
        assert refusal(answer, 503) == "server_stopped"
        assert int(answer.headers["retry-after"]) > 0
    finally:
        api.delete(server["id"])


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_real_clients_may_send_the_token_as_x_api_key(
    api: Api, drivers: dict[str, ClientDriver], token: str, client: str, transport: str
) -> None:
    report = drivers[client].run(f"{api.public_url}/api/{SERVER}", transport, {"X-API-Key": token}, [ADD])
    assert report.value(0)["content"][0]["text"] == "3"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_real_clients_that_take_only_a_url_may_send_the_token_in_it(
    api: Api, drivers: dict[str, ClientDriver], token: str, client: str, transport: str
) -> None:
    report = drivers[client].run(f"{api.public_url}/api/{SERVER}", transport, {}, [ADD], query=f"?key={token}")
    assert report.value(0)["content"][0]["text"] == "3"


def test_a_session_id_alone_opens_nothing(api: Api, token: str) -> None:
    """A session opened with a header must go on with it: the session id is no credential of its own."""
    with SseSession(api, SERVER, bearer(token)) as session:
        url = f"{api.public_url}{session.endpoint}"
        ping = {"jsonrpc": "2.0", "id": 99, "method": "ping"}
        with httpx.Client(verify=api.tls, trust_env=False) as stranger:
            assert refusal(stranger.post(url, json=ping), 401) == "unauthenticated"


def test_a_ticket_is_good_for_its_servers_messages_while_its_token_lives(api: Api) -> None:
    """What a client that takes only a URL gets with its session (ADR 3), in the hands of somebody else."""
    made = api.call("POST", "/api/tokens", json={"name": "url-only", "role": "connect", "servers": [SERVER]})
    ping = {"jsonrpc": "2.0", "id": 99, "method": "ping"}
    with (
        SseSession(api, SERVER, {}, query=f"?key={made['token']}") as session,
        httpx.Client(base_url=api.public_url, verify=api.tls, trust_env=False) as finder,
    ):
        assert made["token"] not in session.endpoint
        path, _, query = session.endpoint.partition("?")
        ticket = next(part for part in query.split("&") if part.startswith("emcp_ticket="))
        assert finder.post(session.endpoint, json=ping).status_code == 202
        refused = [
            session.endpoint.replace(f"/api/{SERVER}/", f"/api/{OTHER}/"),
            f"/api/{SERVER}/mcp?{ticket}",
            f"/api/{SERVER}/sse?{ticket}",
            f"/api/{SERVER}/other?{ticket}",
            f"{path}?{query.replace(ticket, '')}",
            f"{path}?{query.replace(ticket, ticket[:-2])}",
        ]
        for url in refused:
            assert refusal(finder.post(url, json=ping), 401) == "unauthenticated", url
        api.call("DELETE", f"/api/tokens/{made['id']}")
        assert refusal(finder.post(session.endpoint, json=ping), 401) == "unauthenticated"


def test_the_token_in_a_url_counts_only_where_a_client_connects(api: Api, token: str) -> None:
    with httpx.Client(verify=api.tls, trust_env=False) as http:
        answer = http.get(f"{api.public_url}/api/{SERVER}/other?key={token}")
    assert refusal(answer, 401) == "unauthenticated"


@pytest.mark.parametrize("session", [SseSession, HttpSession])
@pytest.mark.parametrize("server", [SERVER, OTHER])
def test_the_server_sees_the_users_name_and_no_credential(
    api: Api, session: type[SseSession] | type[HttpSession], server: str
) -> None:
    body = {"name": "Ada's laptop", "role": "connect", "servers": None}
    created = api.call("POST", "/api/tokens", json=body)
    token = created["token"]
    forged = {
        "Cookie": "emcp_session=stolen; theme=dark",
        "X-API-Key": token,
        "X-Emcp-User": "root",
        "X_Emcp_User": "root",
        "X-Emcp-Gateway-Key": "forged",
        "X-Emcp-Role": "admin",
    }
    with session(api, server, {**bearer(token), **forged}) as connected:
        seen = httpx.Response(200, text=connected.call_tool("request_headers", {})).json()
    assert seen["x-emcp-user"] == "Ada's laptop"
    others = {name for name in seen if "emcp" in name} - {"x-emcp-user"}
    assert not others, f"these headers must not reach a server: {others}"
    assert not {"authorization", "cookie", "x-api-key"} & seen.keys()
    assert token not in str(seen)
    assert "root" not in seen.values()
    api.call("DELETE", f"/api/tokens/{created['id']}")


def test_the_container_refuses_whoever_goes_around_the_gate(api: Api, fixtures: dict[str, Json]) -> None:
    address = fixtures[SERVER]["address"]
    with httpx.Client(verify=TRUSTS_NOBODY, trust_env=False, timeout=10) as http:
        for headers in ({}, {"X-Emcp-Gateway-Key": "guessed"}, bearer("guessed")):
            for method, path in (("POST", "/mcp"), ("GET", "/sse"), ("GET", "/.emcp/health")):
                answer = http.request(method, f"http://{address}{path}", headers=headers)
                assert refusal(answer, 403) == "gateway_key_required"


def test_a_web_page_of_another_site_is_refused(api: Api, admin_headers: dict[str, str]) -> None:
    answer = knock(api, SERVER, {**admin_headers, "Origin": "https://evil.example"})
    assert refusal(answer, 403) == "origin_not_allowed"
    assert knock(api, SERVER, {**admin_headers, "Origin": api.public_url}).status_code == 200


def test_the_dashboards_cookie_is_for_the_browser_alone(platform: Platform) -> None:
    browser = platform.api_as(None)
    refusal(browser.request("POST", "/api/session", json={"token": "wrong"}), 401)
    answer = browser.request("POST", "/api/session", json={"token": platform.admin_token})
    assert answer.is_success, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "secure", "path=/"))
    assert platform.admin_token.lower() not in cookie
    # It opens the API from the dashboard's own pages, and from no other site's.
    assert browser.request("GET", "/api/servers").is_success
    body = {"name": "by-cookie", "role": "connect", "servers": [SERVER]}
    refusal(browser.request("POST", "/api/tokens", json=body, headers={"Origin": "https://evil.example"}), 403)
    created = browser.call("POST", "/api/tokens", json=body, headers={"Origin": platform.public_url})
    browser.call("DELETE", f"/api/tokens/{created['id']}", headers={"Origin": platform.public_url})
    # The browser forgets it with the logout.
    browser.call("DELETE", "/api/session", headers={"Origin": platform.public_url})
    refusal(browser.request("GET", "/api/servers"), 401)


def test_a_deleted_token_opens_nothing_any_more(api: Api) -> None:
    body = {"name": "short-lived", "role": "connect", "servers": [SERVER]}
    created = api.call("POST", "/api/tokens", json=body)
    assert knock(api, SERVER, bearer(created["token"])).status_code == 200
    api.call("DELETE", f"/api/tokens/{created['id']}")
    refusal(knock(api, SERVER, bearer(created["token"])), 401)


def test_an_expired_token_opens_nothing_any_more(api: Api) -> None:
    expires_at = (datetime.now(timezone.utc) + timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    body = {"name": "expiring", "role": "connect", "servers": [SERVER], "expires_at": expires_at}
    token = api.call("POST", "/api/tokens", json=body)["token"]
    until("the token to expire", lambda: knock(api, SERVER, bearer(token)).status_code == 401, 30)


def test_a_token_is_shown_once(api: Api, token: str) -> None:
    listing = api.request("GET", "/api/tokens").text
    assert "auth-tests" in listing
    assert token not in listing


ADD: Json = {"op": "call_tool", "name": "add", "arguments": {"a": 1, "b": 2}}
