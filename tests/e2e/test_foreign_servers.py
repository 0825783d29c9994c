"""Servers we did not write: the example files that the SDKs' own authors publish, uploaded as they are.

They come from the source distributions of `mcp` and `fastmcp`, fetched when a test needs them and never
kept in this repository.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.api import Api
from support.clients import ClientDriver
from support.toolchains import source_distribution

Json = dict[str, Any]

MCP_1 = ("mcp", "1.30.0")
MCP_2 = ("mcp", "2.3.0")
FASTMCP_3 = ("fastmcp", "3.4.11")
FASTMCP_4 = ("fastmcp", "4.1.6")


@dataclass(frozen=True)
class Foreign:
    """One published file: where it is, how it is deployed, what it must answer."""

    package: tuple[str, str]
    path: str
    tools: frozenset[str]
    call: tuple[str, Json]
    says: str
    fields: dict[str, str]

    @property
    def name(self) -> str:
        """A server name made of the package, its major version and the path."""
        package, version = self.package
        parts = [part for part in Path(self.path).with_suffix("").parts if part not in ("examples", "snippets")]
        return "-".join([f"{package}{version.split('.')[0]}", *parts]).replace("_", "-")[:40].strip("-")

    def file(self) -> Path:
        return source_distribution(*self.package) / self.path


def foreign(
    package: tuple[str, str], path: str, tools: str, call: tuple[str, Json], says: str, **fields: str
) -> Foreign:
    return Foreign(package, path, frozenset(tools.split()), call, says, fields)


FOREIGN = [
    # mcp 1.x: the high-level FastMCP with tools, structured output, progress, unicode, a lifespan; low-level Server.
    foreign(MCP_1, "examples/snippets/servers/fastmcp_quickstart.py", "add", ("add", {"a": 2, "b": 3}), "5"),
    foreign(
        MCP_1,
        "examples/fastmcp/weather_structured.py",
        "get_weather get_weather_summary get_weather_metrics get_weather_alerts get_temperature get_weather_stats",
        ("get_weather_summary", {"city": "Oslo"}),
        "Partly cloudy with light breeze",
    ),
    foreign(
        MCP_1,
        "examples/fastmcp/unicode_example.py",
        "hello_unicode list_emoji_categories multilingual_hello",
        ("hello_unicode", {"name": "世界"}),
        "¡Hola, 世界! 👋",
    ),
    foreign(
        MCP_1,
        "examples/snippets/servers/tool_progress.py",
        "long_running_task",
        ("long_running_task", {"task_name": "tidy up", "steps": 3}),
        "Task 'tidy up' completed",
    ),
    foreign(MCP_1, "examples/snippets/servers/lifespan_example.py", "query_db", ("query_db", {}), "Query result"),
    foreign(MCP_1, "examples/snippets/servers/direct_execution.py", "hello", ("hello", {}), "Hello, World!"),
    foreign(
        MCP_1,
        "examples/snippets/servers/lowlevel/structured_output.py",
        "get_weather",
        ("get_weather", {"city": "Lima"}),
        "partly cloudy",
    ),
    # mcp 2.x: MCPServer and the low-level Server of the second generation.
    foreign(MCP_2, "examples/snippets/servers/mcpserver_quickstart.py", "add", ("add", {"a": 2, "b": 3}), "5"),
    foreign(
        MCP_2,
        "examples/mcpserver/weather_structured.py",
        "get_weather get_weather_summary get_weather_metrics get_weather_alerts get_temperature get_weather_stats",
        ("get_temperature", {"city": "Oslo", "unit": "fahrenheit"}),
        "72.5",
    ),
    foreign(
        MCP_2,
        "examples/mcpserver/complex_inputs.py",
        "name_shrimp",
        ("name_shrimp", {"tank": {"shrimp": [{"name": "Ada"}]}, "extra_names": ["Grace"]}),
        "Ada",
    ),
    foreign(
        MCP_2,
        "examples/snippets/servers/lowlevel/structured_output.py",
        "get_weather",
        ("get_weather", {"city": "Lima"}),
        "partly cloudy",
    ),
    # The fastmcp package: its files do not say which major they are for, so the first ones are told.
    foreign(
        FASTMCP_3,
        "examples/testing_demo/server.py",
        "add greet async_multiply",
        ("greet", {"name": "Ada"}),
        "Hello, Ada!",
        runtime="mcp1",
    ),
    foreign(
        FASTMCP_3,
        "examples/mount_example.py",
        "check_app_status weather_get_weather_forecast news_get_news_headlines",
        ("weather_get_weather_forecast", {"location": "Oslo"}),
        "Sunny skies for Oslo today!",
        runtime="mcp1",
        entry_object="app",
    ),
    foreign(
        FASTMCP_3,
        "examples/config_server.py",
        "get_status echo_message",
        ("get_status", {}),
        "ConfigurableServer",
        runtime="mcp1",
    ),
    foreign(
        FASTMCP_4,
        "examples/persistent_state/server.py",
        "set_value get_value list_session_info",
        ("set_value", {"key": "colour", "value": "red"}),
        "Stored 'colour' = 'red'",
    ),
    foreign(
        FASTMCP_4,
        "examples/search/server_bm25.py",
        "search_tools call_tool list_files",
        ("call_tool", {"name": "multiply", "arguments": {"x": 6, "y": 7}}),
        "42",
    ),
    foreign(FASTMCP_4, "examples/tool_result_echo.py", "echo", ("echo", {"text": "你好"}), "Echoed: 你好"),
]


@pytest.fixture(scope="module")
def started(api: Api) -> Iterator[None]:
    """All of them, started together: the slow part is the import, and cores wait for nobody."""
    for example in FOREIGN:
        api.create(example.name, example.file(), start="true", **example.fields)
    yield
    for example in FOREIGN:
        api.delete(example.name)


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("example", FOREIGN, ids=lambda example: f"{'-'.join(example.package)}:{example.path}")
def test_a_published_example_runs_unchanged(
    api: Api, drivers: dict[str, ClientDriver], admin_headers: dict[str, str], example: Foreign
) -> None:
    api.wait_for(example.name, "running")
    tool, arguments = example.call
    steps: list[Json] = [{"op": "list_tools"}, {"op": "call_tool", "name": tool, "arguments": arguments}]
    # The client that starts fastest; the other combinations are test_clients' business.
    report = drivers["typescript-2"].run(f"{api.public_url}/api/{example.name}", "http", admin_headers, steps)
    assert {listed["name"] for listed in report.value(0)["tools"]} == example.tools
    called = report.value(1)
    assert not called.get("isError"), called
    assert example.says in called["content"][0]["text"]
