"""Clients without a token, or with a wrong one, try to sign in by OAuth. What they show then must be EMCP's own
sentence: they show nothing else. Each real client does what its SDK does on a 401."""

import json
import re
from typing import Any

import httpx
import pytest

from support.api import Api
from support.clients import CLIENTS, TRANSPORTS, ClientDriver, bearer
from support.running import Platform

Json = dict[str, Any]

WRONG = f"emcp_{'f' * 64}"
# What is missing, and where it is to be had.
SENTENCE = "takes no OAuth sign-in but an EMCP token"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
# RFC 6749 §5.2.
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("token", [None, WRONG], ids=["no token", "a wrong token"])
def test_a_client_shows_what_is_missing_and_where_to_get_it(
    platform: Platform,
    fixtures: dict[str, Json],
    drivers: dict[str, ClientDriver],
    client: str,
    transport: str,
    token: str | None,
) -> None:
    base = f"{platform.public_url}/api/fixture-v1"
    report = drivers[client].run(base, transport, {}, [], oauth={"token": token})
    assert report.error is not None
    assert SENTENCE in report.error, report.error
    assert "Authorization: Bearer TOKEN" in report.error
    assert f"the dashboard at {platform.public_url}/" in report.error


def places(server: str) -> list[str]:
    bases = ["", f"/api/{server}", f"/api/{server}/mcp", f"/api/{server}/sse"]
    return [f"{base}/{endpoint}" for base in bases for endpoint in ("register", "authorize", "token")]


@pytest.mark.parametrize("server", ["fixture-v1", "there-is-no-such"])
@pytest.mark.parametrize("headers", [{}, bearer(WRONG)], ids=["no token", "a wrong token"])
def test_where_an_authorization_server_would_be_is_an_oauth_error(
    platform: Platform, fixtures: dict[str, Json], server: str, headers: dict[str, str]
) -> None:
    nobody = platform.api_as(None)
    for place in places(server):
        for method in METHODS:
            answer = nobody.request(method, f"{place}?response_type=code", headers=headers)
            where = f"{method} {place}: {answer.status_code} {answer.text}"
            assert answer.status_code == 400, where
            assert answer.headers["content-type"] == "application/json", where
            assert answer.headers["cache-control"] == "no-store", where
            if method != "HEAD":
                assert_is_oauth_error(answer)
    registration = {"client_name": "x", "redirect_uris": ["http://127.0.0.1/"]}
    assert_is_oauth_error(nobody.request("POST", f"/api/{server}/register", json=registration, headers=headers))
    # What a person sees whose browser a client has opened.
    opened = nobody.request("GET", f"/api/{server}/authorize", headers={"Sec-Fetch-Dest": "document"})
    assert opened.status_code == 400
    assert_is_oauth_error(opened)


def assert_is_oauth_error(answer: httpx.Response) -> None:
    error = answer.json()
    assert set(error) == {"error", "error_description"}
    assert error["error"] == "access_denied"
    assert SENTENCE in error["error_description"]
    assert DESCRIPTION.fullmatch(error["error_description"])
    # Clients that show the body as it is show the sentence as it is.
    assert json.dumps(error["error_description"])[1:-1] in answer.text


def test_who_has_a_token_reaches_a_servers_own_pages_of_these_names(api: Api, fixtures: dict[str, Json]) -> None:
    answer = api.request("POST", "/api/fixture-v1/register", json={})
    # The server's own answer: it has no such page.
    assert answer.status_code == 404
    assert "access_denied" not in answer.text


def test_documents_that_would_invite_to_sign_in_are_a_true_404(platform: Platform, fixtures: dict[str, Json]) -> None:
    nobody = platform.api_as(None)
    names = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")
    for name in names:
        for path in (
            f"/.well-known/{name}",
            f"/.well-known/{name}/api/fixture-v1/mcp",
            f"/api/fixture-v1/.well-known/{name}",
            f"/api/fixture-v1/mcp/.well-known/{name}",
        ):
            answer = nobody.request("GET", path)
            assert answer.status_code == 404, path
            # Whoever parses it as an OAuth error finds one; as a document it has nothing.
            assert answer.json()["error"] == "not_found"
            assert SENTENCE in answer.json()["error_description"]


def test_the_challenge_says_what_is_wrong_with_a_token_and_nothing_where_there_is_none(platform: Platform) -> None:
    nobody = platform.api_as(None)
    for server in ("fixture-v1", "there-is-no-such"):
        missing = nobody.request("POST", f"/api/{server}/mcp", json={})
        assert missing.headers["www-authenticate"] == 'Bearer realm="emcp"'
        assert missing.json()["error"]["code"] == "unauthenticated"
        for headers in (bearer(WRONG), {"X-API-Key": WRONG}):
            wrong = nobody.request("POST", f"/api/{server}/mcp", json={}, headers=headers)
            assert wrong.status_code == 401
            challenge = wrong.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="emcp", error="invalid_token", error_description="'), challenge
            assert "not valid" in challenge
