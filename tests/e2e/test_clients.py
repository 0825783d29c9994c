"""Every official client, over every transport, against a server of every SDK generation.

Each combination is one conversation; each question of it is a test of its own, so that a failure names
what does not work.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from support.api import Api
from support.clients import CLIENTS, TRANSPORTS, ClientDriver, Report, bearer

Json = dict[str, Any]

UNICODE = "Grüße, 世界 👋🏽 שלום"

STEPS: dict[str, Json] = {
    "initialize": {"op": "initialize"},
    "list_tools": {"op": "list_tools"},
    "arguments": {"op": "call_tool", "name": "add", "arguments": {"a": 19, "b": 23}},
    "structured": {"op": "call_tool", "name": "weather", "arguments": {"city": "Zürich"}},
    "raises": {"op": "call_tool", "name": "fail", "arguments": {"reason": "the test wants it"}},
    "progress": {"op": "call_tool", "name": "count", "arguments": {"steps": 5}},
    "unicode": {"op": "call_tool", "name": "reverse", "arguments": {"text": UNICODE}},
    "list_resources": {"op": "list_resources"},
    "resource": {"op": "read_resource", "uri": "note://greeting"},
    "template": {"op": "read_resource", "uri": "note://hello/length"},
    "list_prompts": {"op": "list_prompts"},
    "prompt": {"op": "get_prompt", "name": "review", "arguments": {"code": "print('你好')"}},
}


@dataclass(frozen=True)
class Conversation:
    """One client's whole conversation with one server, by question."""

    server: str
    transport: str
    client: str
    report: Report

    def answer(self, step: str) -> Json:
        return self.report.value(list(STEPS).index(step))

    def text(self, step: str) -> str:
        text: str = self.answer(step)["content"][0]["text"]
        return text


@pytest.fixture(scope="module", params=("fixture-v1", "fixture-v2"))
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, drivers: dict[str, ClientDriver]) -> ClientDriver:
    return drivers[request.param]


@pytest.fixture(scope="module")
def client_token(api: Api) -> str:
    return api.connect_token("clients", ["fixture-v1", "fixture-v2"])


@pytest.fixture(scope="module")
def talk(
    api: Api, fixtures: dict[str, Json], server: str, transport: str, client: ClientDriver, client_token: str
) -> Conversation:
    base_url = f"{api.public_url}/api/{server}"
    report = client.run(base_url, transport, bearer(client_token), list(STEPS.values()))
    return Conversation(server, transport, client.name, report)


def test_the_handshake_names_the_server(talk: Conversation) -> None:
    answer = talk.answer("initialize")
    assert answer["serverInfo"]["name"] == talk.server.replace("-", " ").capitalize()
    assert answer["instructions"] == "Answers every question a client test asks."
    assert "tools" in answer["capabilities"]
    # Current clients and servers agree on the current revision; only HTTP+SSE and 1.x hold them back.
    if talk.server == "fixture-v2" and talk.transport == "http" and talk.client.endswith("-2"):
        assert answer["protocolVersion"] == "2026-07-28"


def test_tools_are_listed_with_their_schemas(talk: Conversation) -> None:
    tools = {tool["name"]: tool for tool in talk.answer("list_tools")["tools"]}
    assert {"add", "weather", "fail", "count", "reverse"} <= tools.keys()
    assert tools["add"]["description"] == "Add two whole numbers."
    assert tools["add"]["inputSchema"]["required"] == ["a", "b"]


def test_a_tool_gets_its_arguments(talk: Conversation) -> None:
    assert talk.text("arguments") == "42"


def test_structured_output_arrives_as_data(talk: Conversation) -> None:
    answer = talk.answer("structured")
    expected = {"city": "Zürich", "temperature_celsius": 21.5, "warnings": ["wind", "pollen"]}
    assert answer["structuredContent"] == expected


def test_a_tool_that_raises_is_an_error_result_and_the_session_goes_on(talk: Conversation) -> None:
    assert talk.answer("raises")["isError"] is True
    assert "fail" in talk.text("raises")
    assert talk.text("unicode")


def test_progress_arrives_over_the_stream_in_order(talk: Conversation) -> None:
    """The last notes may be missing: the TypeScript SDK drops a note that it reads together with the result.

    That all of them pass the platform is test_routes' business.
    """
    progress = talk.answer("progress")["progress"]
    assert progress, "no progress at all"
    assert [note["progress"] for note in progress] == list(range(1, len(progress) + 1))
    assert progress[0]["message"] == "step 1 of 5"
    assert talk.text("progress") == "counted to 5"


def test_unicode_passes_unharmed(talk: Conversation) -> None:
    assert talk.text("unicode") == UNICODE[::-1]


def test_resources_are_listed_and_read(talk: Conversation) -> None:
    uris = [str(resource["uri"]) for resource in talk.answer("list_resources")["resources"]]
    assert uris == ["note://greeting"]
    assert talk.answer("resource")["contents"][0]["text"] == "Grüße aus dem Container, 你好"


def test_a_resource_template_is_filled_in(talk: Conversation) -> None:
    assert talk.answer("template")["contents"][0]["text"] == "hello: 5"


def test_prompts_are_listed_and_filled_in(talk: Conversation) -> None:
    prompts = talk.answer("list_prompts")["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["review"]
    message = talk.answer("prompt")["messages"][0]
    assert message["role"] == "user"
    assert message["content"]["text"] == "Please review this python code: print('你好')"
