"""Files as people have them, once through the platform: uploaded, started or refused with the right words, and called.

What the bootstrap makes of each is looked at in `base-image/tests/test_field.py`; here the same files, and a further
one of each kind, go the way that a user's goes. Each says on its first line what must happen.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from support.api import Api, Json
from support.clients import bearer
from support.running import Platform
from support.settings import E2E_DIR, REPO_DIR
from support.streams import STREAM_HEADERS, HttpSession, SseSession
from support.waits import until

FOLDERS = (REPO_DIR / "base-image" / "tests" / "field", E2E_DIR / "servers" / "field")
FILES = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.py"))}
START_TIMEOUT_SECS = 120
ONE_FILE = "only this one file was uploaded"
LATER_PYTHON = "needs Python 3.12 or later"


@dataclass(frozen=True)
class Served:
    """The tools it lists, calls of theirs, and what else must be so."""

    tools: str
    calls: tuple[tuple[str, Json, str], ...]
    fields: dict[str, str] = field(default_factory=dict)
    also: Callable[[Api, str], None] | None = None


@dataclass(frozen=True)
class Refused:
    says: str


def post(api: Api, server: str, message: Json, **headers: str) -> httpx.Response:
    return api.request("POST", f"/api/{server}/mcp", json=message, headers={**STREAM_HEADERS, **headers})


def is_stateless_and_answers_in_json(api: Api, server: str) -> None:
    answer = post(api, server, {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    assert answer.json()["result"]["tools"]


def has_its_lamp(api: Api, server: str) -> None:
    is_stateless_and_answers_in_json(api, server)
    assert post(api, server, {"jsonrpc": "2.0", "id": 1, "method": "ping"}).headers["x-lamp"] == "lit"


def answers_pages(api: Api, server: str) -> None:
    """The dashboard's origin is always let in; what the file says to it reaches it."""
    origin = api.public_url
    answer = post(api, server, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, Origin=origin)
    assert answer.headers["access-control-allow-origin"] in ("*", origin)


def has_page(path: str, body: Json) -> Callable[[Api, str], None]:
    def look(api: Api, server: str) -> None:
        assert api.call("GET", f"/api/{server}{path}") == body

    return look


def is_stamped(api: Api, server: str) -> None:
    assert post(api, server, {"jsonrpc": "2.0", "id": 1, "method": "ping"}).headers["x-stamp"] == "ink"


def lists_its_prompt(api: Api, server: str) -> None:
    assert [prompt["name"] for prompt in api.call("GET", f"/api/servers/{server}/tools")["prompts"]] == ["welcome"]


def sees_what_the_client_sent(tool: str) -> Callable[[Api, str], None]:
    def look(api: Api, server: str) -> None:
        token = api.connect_token(server, [server])
        with HttpSession(api, server, {**bearer(token), "X-Tenant": "north"}) as session:
            told = session.call_tool(tool, {}).lower()
        assert "x-tenant" in told and "north" in told
        assert "gateway" not in told and token not in told

    return look


def counts(tool: str) -> Callable[[Api, str], None]:
    def look(api: Api, server: str) -> None:
        with HttpSession(api, server, {"Authorization": api.http.headers["authorization"]}) as session:
            until(f"{tool} to count", lambda: int(session.call_tool(tool, {})) > 0, 30)

    return look


PING = (("ping", {}, "pong"),)
ON = (("on", {}, "on"),)

EXPECTED: dict[str, Served | Refused] = {
    # What stands under the guard happens.
    "guard-setup": Served("perimeter area", (("area", {"side": 3}, "9.0"),)),
    "guard-import-server": Served("sub_hello", (("sub_hello", {}, "hello from sub"),)),
    "guard-class": Served("greet", (("greet", {"name": "Ada"}, "front desk greets Ada"),), also=lists_its_prompt),
    "guard-global": Served("stock", (("stock", {"item": "bolt"}, "3"),)),
    "guard-env": Served("rate", (("rate", {"currency": "EUR"}, "1.2"),)),
    "background-guard": Served("tea", (), also=counts("tea")),
    "background-task": Served("beats", (), also=counts("beats")),
    "lowlevel-in-main": Served("ping", PING),
    "lowlevel-in-class": Served("echo", (("echo", {"text": "你好"}, "你好"),)),
    # Options of run() hold.
    "guard-run-options-fastmcp": Served("on", ON, also=has_its_lamp),
    "guard-run-options-mcp2": Served("on", ON, also=is_stateless_and_answers_in_json),
    "run-options-settings": Served("on", ON, also=is_stateless_and_answers_in_json),
    # A factory is awaited.
    "async-factory": Served("ping", PING, {"entry_object": "create_server"}),
    "async-factory-sdk2": Served("ping", PING, {"entry_object": "build"}),
    # An app around the server is served whole.
    "cors-wrapped": Served("ping", PING, also=answers_pages),
    "stamped-app": Served("ping", PING, also=is_stamped),
    "mounted-app": Served("ping", PING, also=has_page("/hello", {"hello": "world"})),
    "mounted-fastmcp": Served("count", (("count", {"item": "bolt"}, "7"),), also=has_page("/stock", {"bolt": 7})),
    "header-echo": Served("headers", (), also=sees_what_the_client_sent("headers")),
    "header-names": Served("seen", (), also=sees_what_the_client_sent("seen")),
    # The working directory is writable.
    "readonly-log": Served("note", (("note", {"text": "a"}, "noted"),)),
    "readonly-sqlite": Served("jars", (("jars", {}, "0"),)),
    "readonly-tool": Served("fill export", (("fill", {"label": "a"}, "filled"), ("export", {"text": "b"}, "written"))),
    "readonly-folder": Served("keep", (("keep", {"word": "tea"}, "1"),)),
    # What cannot run says why.
    "local-module": Refused(ONE_FILE),
    "local-package": Refused(ONE_FILE),
    "relative-import": Refused(ONE_FILE),
    "relative-parent": Refused(ONE_FILE),
    "py312-fstring": Refused(LATER_PYTHON),
    "py312-generic": Refused(LATER_PYTHON),
    "py312-typing": Refused(LATER_PYTHON),
    "py312-class": Refused(LATER_PYTHON),
}


def test_every_file_has_its_expectation() -> None:
    assert set(EXPECTED) == set(FILES)
    for path in FILES.values():
        assert path.read_text().startswith("# MUST: "), path


@pytest.fixture(scope="module")
def api(new_platform: Callable[..., Platform]) -> Api:
    """Of a platform that gives a start time enough on a busy machine."""
    return new_platform(EMCP_START_TIMEOUT_SECS=str(START_TIMEOUT_SECS)).api


@pytest.fixture(scope="module")
def settled(api: Api) -> Iterator[dict[str, Future[Json]]]:
    """All of them uploaded, as many at a time as there are cores, while those that have settled are tried."""

    def upload(name: str, expected: Served | Refused) -> Json:
        fields = expected.fields if isinstance(expected, Served) else {}
        api.create(name, FILES[name], start="true", **fields)
        return api.wait_for(name, "running" if isinstance(expected, Served) else "error", START_TIMEOUT_SECS)

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    yield {name: pool.submit(upload, name, expected) for name, expected in EXPECTED.items()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_does_here_what_it_does_elsewhere(api: Api, settled: dict[str, Future[Json]], name: str) -> None:
    expected = EXPECTED[name]
    server = settled[name].result(START_TIMEOUT_SECS)
    headers = {"Authorization": api.http.headers["authorization"]}
    if isinstance(expected, Refused):
        assert expected.says in server["last_error"]["message"]
        return
    sessions: tuple[type[HttpSession] | type[SseSession], ...] = (HttpSession, SseSession)
    for session_kind in sessions:
        with session_kind(api, name, headers) as session:
            listed: list[dict[str, Any]] = session.request("tools/list", {})["tools"]
            assert {tool["name"] for tool in listed} == set(expected.tools.split())
            for tool, arguments, answer in expected.calls:
                assert session.call_tool(tool, arguments) == answer
    if expected.also is not None:
        expected.also(api, name)
