"""EMCP's own log says of every line that a request caused which request it was, whose, and of which server."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from support.api import Api
from support.bundles import folder_of
from support.running import Platform
from support.tiny import tiny_server

Json = dict[str, Any]

SECRET = "planted-for-the-log-4711"


@pytest.fixture(scope="module")
def platform(new_platform: Callable[..., Platform]) -> Platform:
    """A platform of its own: its log is read, and files are taken away from it."""
    return new_platform(EMCP_LOG="debug", EMCP_LOG_FORMAT="json")


@pytest.fixture(scope="module")
def token(platform: Platform) -> str:
    body = {"name": "ann", "role": "developer"}
    token: str = platform.api.call("POST", "/api/tokens", json=body)["token"]
    return token


@pytest.fixture(scope="module")
def ann(platform: Platform, token: str) -> Api:
    return platform.api_as(token)


@pytest.fixture(scope="module")
def server(platform: Platform, ann: Api) -> Json:
    """A server of Ann's with a secret, whose code has gone from the disk."""
    created = ann.create("logged", tiny_server("logged"), entry_object="app")
    ann.set_env("logged", [{"key": "S", "value": SECRET, "is_secret": True}])
    shutil.rmtree(folder_of(platform.data_dir, tiny_server("logged").encode()))
    return created


def test_a_request_that_fails_within_is_found_by_its_id(platform: Platform, ann: Api, server: Json) -> None:
    answer = ann.request("GET", "/api/servers/logged/code")
    assert answer.status_code == 500, answer.text
    lines = _lines_of(platform, answer.headers["x-request-id"])
    failures = [line for line in lines if line["level"] == "ERROR"]
    assert [line["fields"]["message"] for line in failures] == ["a request failed"]
    for line in lines:
        assert _who_and_what(line) == ("ann", server["id"]), line
        assert line["span"]["route"] == "/api/servers/{id}/code", line


def test_a_change_that_runs_to_its_end_by_itself_is_logged_with_it(platform: Platform, ann: Api) -> None:
    created = ann.create("short", tiny_server("short"), entry_object="app")
    answer = ann.request("DELETE", "/api/servers/short")
    assert answer.status_code == 204, answer.text
    lines = _lines_of(platform, answer.headers["x-request-id"])
    assert "server deleted" in [line["fields"]["message"] for line in lines]
    for line in lines:
        assert _who_and_what(line) == ("ann", created["id"]), line


def test_a_write_that_the_disk_refuses_is_logged_with_it(platform: Platform, ann: Api, server: Json) -> None:
    code = platform.data_dir / "bundles"
    aside = code.with_name("aside")
    code.rename(aside)
    try:
        # No directory can be made where a file is.
        code.touch()
        answer = ann.request("PUT", "/api/servers/logged/code", json={"code": tiny_server("again")})
    finally:
        code.unlink()
        aside.rename(code)
    assert answer.status_code == 500, answer.text
    failures = [line for line in _lines_of(platform, answer.headers["x-request-id"]) if line["level"] == "ERROR"]
    assert [_who_and_what(line) for line in failures] == [("ann", server["id"])]


def test_a_request_at_the_gate_is_logged_with_who_asks_and_for_what(
    platform: Platform, ann: Api, server: Json
) -> None:
    before = len(_log(platform))
    assert ann.request("GET", "/api/logged/").status_code == 503
    asked = [line for line in _log(platform)[before:] if line["fields"].get("path") == "/gate"]
    assert [_who_and_what(line) for line in asked] == [("ann", server["id"])]


def test_nobody_known_is_nobody_named(platform: Platform) -> None:
    answer = platform.api_as("emcp_wrong").request("GET", "/api/servers/logged")
    assert answer.status_code == 401
    lines = _lines_of(platform, answer.headers["x-request-id"])
    assert lines
    assert {_who_and_what(line) for line in lines} == {(None, None)}


def test_as_text_it_says_the_same_and_nowhere_a_secret(
    platform: Platform, ann: Api, server: Json, token: str
) -> None:
    platform.stop_emcp()
    platform.environment["EMCP_LOG_FORMAT"] = "text"
    # Whatever is left of the lines, they say whose they are.
    platform.environment["EMCP_LOG"] = "error"
    platform.start_emcp()
    platform.wait_ready()
    answer = ann.request("GET", "/api/servers/logged/code")
    assert answer.status_code == 500, answer.text
    log = platform.emcp_log.read_text()
    line = next(line for line in log.splitlines() if f"request_id={answer.headers['x-request-id']}" in line)
    assert f'actor="ann" server={server["id"]}' in line, line
    assert line.count("actor=") == line.count("server=") == line.count("route=") == 1, line
    for secret in (SECRET, token, platform.admin_token, "emcp_wrong"):
        assert secret not in log


def _log(platform: Platform) -> list[Json]:
    whole, _, _ = platform.emcp_log.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def _lines_of(platform: Platform, request_id: str) -> list[Json]:
    """What was logged within the request. Its last line is written before it is answered."""
    return [line for line in _log(platform) if line.get("span", {}).get("request_id") == request_id]


def _who_and_what(line: Json) -> tuple[str | None, str | None]:
    span = line["span"]
    return span.get("actor"), span.get("server")
