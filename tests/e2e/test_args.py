"""`args`: what a server's file finds in `sys.argv[1:]`, from the upload to the file."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.api import Api

Json = dict[str, Any]

SHELF = '''
import argparse
import os
import sys
from mcp.server.fastmcp import FastMCP

parser = argparse.ArgumentParser()
parser.add_argument("root", help="the folder to serve")
parser.add_argument("--rows", type=int, default=1)
options = parser.parse_args()
mcp = FastMCP("shelf")


@mcp.tool()
def given() -> list[str]:
    """The arguments as they came, and what was made of them."""
    return [*sys.argv[1:], f"{options.root} x {options.rows}"]


if __name__ == "__main__":
    mcp.run()
'''


@pytest.fixture
def name(api: Api) -> Iterator[str]:
    yield "shelf"
    if api.request("GET", "/api/servers/shelf").is_success:
        api.delete("shelf")


def given(api: Api, server: str) -> list[str]:
    answer = api.call("POST", f"/api/servers/{server}/tools/call", json={"name": "given", "arguments": {}})
    assert not answer["is_error"], answer
    found: list[str] = answer["structured_content"]["result"]
    return found


def test_a_file_that_wants_arguments_says_so_and_gets_them(api: Api, name: str) -> None:
    assert api.create(name, SHELF, start="true")["args"] == []
    failed = api.wait_for(name, "error")
    assert "the following arguments are required: root" in failed["last_error"]["message"]
    assert "the server's args" in failed["last_error"]["message"]

    odd = ["my place; rm -rf $HOME", "--rows", "3"]
    changed = api.call("PATCH", f"/api/servers/{name}", json={"args": odd})
    assert changed["args"] == odd
    api.action(name, "start")
    api.wait_for(name, "running")
    assert given(api, name) == [*odd, f"{odd[0]} x 3"]
    events = api.call("GET", f"/api/servers/{name}/events")["events"]
    assert "settings_changed" in [event["code"] for event in events]
    audited = api.call("GET", "/api/audit")["entries"]
    assert [name, "ok"] in [[entry.get("target"), entry["result"]] for entry in audited if entry["action"] == "server.change"]


def test_a_change_takes_a_new_container_and_what_is_left_out_stays(api: Api, name: str) -> None:
    api.create(name, SHELF, start="true", args='["first"]')
    before = api.wait_for(name, "running")
    assert given(api, name) == ["first", "first x 1"]
    same = api.call("PATCH", f"/api/servers/{name}", json={"args": ["first"]})
    assert same["restart_needed"] is False
    changed = api.call("PATCH", f"/api/servers/{name}", json={"args": ["ä\n", "--rows=2"]})
    assert changed["restart_needed"] is True
    api.action(name, "restart", wait_secs=60)
    after = api.call("PATCH", f"/api/servers/{name}", json={"description": "other"})
    assert after["container_id"] != before["container_id"]
    assert (after["args"], after["restart_needed"]) == (["ä\n", "--rows=2"], False)
    assert given(api, name) == ["ä\n", "--rows=2", "ä\n x 2"]


def test_a_variable_cannot_take_their_place(api: Api, name: str) -> None:
    api.create(name, SHELF, args='["mine"]')
    for key in ("EMCP_ARGS", "emcp_args"):
        answer = api.request("PUT", f"/api/servers/{name}/env", json={"env": [{"key": key, "value": '["yours"]'}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "reserved_env_key")


def test_what_is_no_list_of_arguments_is_refused(api: Api, name: str) -> None:
    body = {"name": name, "code": SHELF, "start": False}
    wrong: list[Any] = ["--rows 2", {"0": "a"}, [1], [None], ["a\0b"], ["x"] * 101, ["x" * 16_385], 7, True]
    for args in wrong:
        answer = api.request("POST", "/api/servers", json={**body, "args": args})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (400, "invalid_args", "args"), args
    # Nothing of it was created, and as many and as long as are allowed go into a container.
    most = ["\x01" * 163] * 100
    created = api.call("POST", "/api/servers", json={**body, "code": SHELF.replace('"root",', '"root", nargs="*",'), "args": most})
    assert created["args"] == most
    for args in wrong:
        answer = api.request("PATCH", f"/api/servers/{name}", json={"args": args})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_args"), args
    assert api.action(name, "start", wait_secs=60)["status"] == "running"
    assert given(api, name)[:100] == most
