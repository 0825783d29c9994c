"""What the dashboard builds on, asked for as any script would ask: live events, usage, check, tools, connection test."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.api import Api, Json
from support.running import Platform
from support.streams import has_route, knock
from support.waits import until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CALCULATOR = EXAMPLES / "calculator.py"


@pytest.fixture(scope="module")
def calculator(api: Api) -> Iterator[str]:
    name = "tried-out"
    api.create(name, CALCULATOR, start="true")
    api.wait_for(name, "running")
    yield name
    api.delete(name)


class Stream:
    """Server-sent events (WHATWG HTML §9.2) as far as EMCP uses them."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self, wanted: str, fits: Callable[[Any], Any] = lambda _: True) -> Any:
        """The next event of this name that fits. The client's timeout is the deadline."""
        name = ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == wanted and fits(json.loads(value)):
                return json.loads(value)
        raise AssertionError(f"the stream ended before {wanted}")


def test_a_stream_begins_with_everything_and_goes_on_with_what_changes(api: Api, calculator: str) -> None:
    with api.http.stream("GET", "/api/events/stream") as response:
        assert response.headers["content-type"] == "text/event-stream"
        stream = Stream(response)
        first = stream.next("snapshot")
        assert calculator in [server["name"] for server in first["servers"]]

        created = api.create("streamed", CALCULATOR)
        seen = stream.next("change", lambda change: any(server["name"] == "streamed" for server in change["servers"]))
        assert [server["id"] for server in seen["servers"] if server["name"] == "streamed"] == [created["id"]]
        api.delete("streamed")
        stream.next("change", lambda change: created["id"] in change["removed"])


def test_usage_is_measured_while_somebody_looks(api: Api, calculator: str) -> None:
    server_id = api.server(calculator)["id"]
    with api.http.stream("GET", "/api/events/stream") as response:
        usage = Stream(response).next("usage", lambda usage: server_id in usage["servers"])
    used = usage["servers"][server_id]
    assert 10_000_000 < used["memory_bytes"] < 536_870_912
    assert used["cpu_cores"] >= 0
    assert usage["memory_limit_bytes"] >= 536_870_912

    overview = api.call("GET", "/api/overview")
    assert overview["usage"]["memory_bytes"] >= used["memory_bytes"] / 2
    assert overview["history"]


def test_a_revoked_token_ends_its_stream(api: Api, platform: Platform) -> None:
    made = api.call("POST", "/api/tokens", json={"name": "watcher", "role": "viewer"})
    headers = {"Authorization": f"Bearer {made['token']}"}
    with httpx.Client(base_url=api.public_url, verify=api.tls, headers=headers, timeout=30, trust_env=False) as client:
        with client.stream("GET", "/api/events/stream") as response:
            stream = Stream(response)
            stream.next("snapshot")
            api.call("DELETE", f"/api/tokens/{made['id']}")
            with pytest.raises(AssertionError, match="the stream ended"):
                stream.next("never")


def test_what_needs_attention_comes_first_in_the_overview(api: Api) -> None:
    api.create("needs-care", "raise SystemExit(3)", start="true")
    until("it to fail", lambda: api.server("needs-care")["status"] == "error", 60)
    overview = api.call("GET", "/api/overview")
    found = [item for item in overview["attention"] if item["server"]["name"] == "needs-care"]
    assert found and found[0]["code"] in ("failed", "failing")
    # In words for people, in codes for programs.
    failure = api.server("needs-care")["last_error"]
    assert found[0]["reason"] == failure["message"]
    assert found[0]["reason_code"] == "failed"
    assert found[0]["reason_args"]["failure"] == {key: failure[key] for key in ("code", "message", "args") if key in failure}
    events = [event for event in overview["recent_events"] if event["server"]["name"] == "needs-care"]
    created = next(event for event in events if event["code"] == "created")
    assert (created["kind"], created["message"]) == ("created", "it was created")
    api.delete("needs-care")


@pytest.mark.parametrize(
    ("name", "code"),
    [("surely-free", None), ("tried-out", "name_taken"), ("Not-Allowed", "invalid_name"), ("tokens", "reserved_name")],
)
def test_a_name_is_looked_up_while_typing(api: Api, calculator: str, name: str, code: str | None) -> None:
    answer = api.call("GET", f"/api/names/{name}")
    assert (answer["available"], answer["code"]) == (code is None, code)


def check(api: Api, code: str, **options: str) -> Json:
    answer: Json = api.call("POST", "/api/check", json={"code": code, **options})
    return answer


def test_a_good_file_is_found_good_without_being_run(api: Api) -> None:
    found = check(api, CALCULATOR.read_text())
    assert found == {"ok": True, "runtime": "mcp1", "entry_objects": ["mcp"], "problems": []}


def test_a_syntax_error_is_found_with_its_place(api: Api) -> None:
    found = check(api, "x = 1\ndef broken(:\n    pass\n")
    assert not found["ok"]
    (problem,) = found["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("syntax_error", 2, 12)


def test_a_missing_module_and_a_missing_server_are_found(api: Api) -> None:
    found = check(api, "import surely_not_there\n")
    assert [(problem["code"], problem["args"]) for problem in found["problems"]] == [
        ("module_not_available", {"module": "surely_not_there", "distribution": "surely-not-there"}),
        ("no_entry", {"entry_object": "mcp"}),
    ]
    assert not found["ok"]


def test_every_template_passes_the_check(api: Api) -> None:
    templates = api.call("GET", "/api/templates")["templates"]
    assert {template["id"] for template in templates} == {path.stem for path in EXAMPLES.glob("*.py")}
    for template in templates:
        assert check(api, template["code"], entry_object=template["entry_object"])["ok"], template["id"]


def test_the_code_of_an_earlier_version_is_kept(api: Api) -> None:
    api.create("versioned", CALCULATOR)
    api.call("PUT", "/api/servers/versioned/code", content=b"mcp = 2\n")
    first = api.request("GET", "/api/servers/versioned/versions/1/code")
    assert first.text == CALCULATOR.read_text()
    assert api.request("GET", "/api/servers/versioned/versions/2/code").text == "mcp = 2\n"
    missing = api.request("GET", "/api/servers/versioned/versions/3/code")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "version_not_found")
    api.delete("versioned")


def test_tools_are_listed_and_called(api: Api, calculator: str) -> None:
    offered = api.call("GET", f"/api/servers/{calculator}/tools")
    assert offered["server"]["name"] == "Calculator"
    add = next(tool for tool in offered["tools"] if tool["name"] == "add")
    assert set(add["inputSchema"]["properties"]) == {"a", "b"}

    call = {"name": "add", "arguments": {"a": 1, "b": 2}}
    answer = api.call("POST", f"/api/servers/{calculator}/tools/call", json=call)
    assert answer["is_error"] is False
    assert answer["structured_content"] == {"result": 3.0}
    assert answer["duration_ms"] > 0
    # Who has tried what is told, but not with which words.
    line = api.call("GET", "/api/audit", params={"action": "server.call"})["entries"][0]
    assert (line["actor"], line["target"], line["result"]) == ("admin", calculator, "ok")


def test_a_tool_that_fails_is_a_result_and_a_stopped_server_is_not(api: Api, calculator: str) -> None:
    call = {"name": "divide", "arguments": {"dividend": "1", "divisor": "0"}}
    answer = api.call("POST", f"/api/servers/{calculator}/tools/call", json=call)
    assert answer["is_error"] is True
    assert "zero" in json.dumps(answer["content"])

    api.create("not-started", CALCULATOR)
    refused = api.request("GET", "/api/servers/not-started/tools")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "server_not_running")
    api.delete("not-started")


def test_a_connection_is_tested_step_by_step_through_traefik(api: Api, calculator: str) -> None:
    outcome = api.call("POST", f"/api/servers/{calculator}/test")
    assert outcome["ok"], outcome
    assert [step["code"] for step in outcome["steps"]] == ["resolve", "tls", "gate", "initialize", "list_tools"]
    found = ["traefik_found", "certificate_valid", "gate_shut", "initialized", "tools_listed"]
    assert [step["detail_code"] for step in outcome["steps"]] == found
    assert outcome["steps"][4]["detail_args"] == {"tools": 2}
    # "localhost" was not looked up: a client elsewhere may not find it.
    assert outcome["public_address_tried"] is False
    # The token of the test is nowhere afterwards.
    assert "connection test" not in [token["name"] for token in api.call("GET", "/api/tokens")["tokens"]]


def test_a_connection_that_cannot_be_made_says_where_it_ends(api: Api, admin_headers: dict[str, str]) -> None:
    api.create("never-started", CALCULATOR)
    until("its route to be there", lambda: has_route(knock(api, "never-started", admin_headers)), 30)
    outcome = api.call("POST", "/api/servers/never-started/test")
    assert not outcome["ok"]
    assert [step["ok"] for step in outcome["steps"]] == [True, True, True, False, None]
    refused, not_reached = outcome["steps"][3:]
    assert (refused["detail_code"], refused["detail_args"]["refusal"]) == ("refused", "server_stopped")
    assert refused["detail"] == refused["detail_args"]["message"]
    assert not_reached["detail_code"] == "not_reached"
    api.delete("never-started")


def test_files_of_the_dashboard_are_compressed_and_sent_once(api: Api) -> None:
    first = api.request("GET", "/app.js")
    assert first.headers["content-encoding"] == "gzip"
    again = api.request("GET", "/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = api.request("GET", "/app.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == first.text
