"""Which object of a module is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from emcp_bootstrap.contract import Failure
from emcp_bootstrap.entry import Kind, find, kind_of, missing, of_running
from emcp_bootstrap.source import parse


def make_class(module: str, name: str, *bases: type) -> type:
    return type(name, bases or (object,), {"__module__": module})


SdkFastMCP = make_class("mcp.server.fastmcp.server", "FastMCP")
MCPServer = make_class("mcp.server.mcpserver.server", "MCPServer")
FastMCP = make_class("fastmcp.server.server", "FastMCP")
LowLevel = make_class("mcp.server.lowlevel.server", "Server")
Starlette = make_class("starlette.applications", "Starlette")
FastAPI = make_class("fastapi.applications", "FastAPI", Starlette)
OwnServer = make_class("server", "OwnServer", MCPServer)


class CallableApp:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


async def function_app(scope: Any, receive: Any, send: Any) -> None: ...


def found(namespace: dict[str, Any], wanted: str = "mcp", code: str = "") -> str | None:
    entry = find(namespace, wanted, parse(Path("server.py"), code))
    return entry.name if entry else None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (SdkFastMCP(), Kind.SDK_FASTMCP),
        (MCPServer(), Kind.SDK_MCPSERVER),
        (OwnServer(), Kind.SDK_MCPSERVER),
        (FastMCP(), Kind.FASTMCP),
        (LowLevel(), Kind.LOWLEVEL),
        (FastAPI(), Kind.ASGI),
        (CallableApp(), Kind.ASGI),
        (function_app, Kind.ASGI),
        (MCPServer, None),
        (print, None),
        (42, None),
        (None, None),
    ],
)
def test_objects_are_recognised_by_their_class(value: object, kind: Kind | None) -> None:
    assert kind_of(value) is kind


def test_the_wanted_name_is_preferred() -> None:
    assert found({"other": MCPServer(), "mcp": MCPServer()}) == "mcp"
    assert found({"mcp": MCPServer(), "second": MCPServer()}, "second") == "second"
    assert found({"mcp": MCPServer(), "app": FastAPI()}, "app") == "app"
    assert found({"app": function_app}, "app") == "app"


def test_the_only_server_is_served_under_any_name() -> None:
    assert found({"weather": SdkFastMCP(), "x": 1}) == "weather"
    server = FastMCP()
    assert found({"weather": server, "alias": server}) == "weather"


def test_a_server_is_preferred_over_the_app_around_it() -> None:
    assert found({"app": FastAPI(), "tools": MCPServer()}) == "tools"
    assert found({"web": FastAPI()}) == "web"


def test_several_servers_are_told_apart_by_what_the_file_runs_then_by_custom() -> None:
    pair = {"a": FastMCP(), "b": FastMCP()}
    assert found(pair, code="def main():\n    b.run()") == "b"
    assert found(pair, code="import anyio\nanyio.run(a.run_async)") == "a"
    assert found({"helper": FastMCP(), "server": FastMCP()}) == "server"
    with pytest.raises(Failure) as raised:
        found(pair, code="a = 1\nb = 2")
    assert (raised.value.code, raised.value.line) == ("bad_entry_object", 1)
    assert "a (fastmcp server), b (fastmcp server)" in raised.value.message


def test_the_app_that_holds_several_servers_is_served() -> None:
    assert found({"a": MCPServer(), "b": MCPServer(), "web": FastAPI()}) == "web"


def test_nothing_to_serve_lists_what_there_is() -> None:
    namespace = {"__name__": "server", "x": 1, "print": print, "Path": Path}
    assert found(namespace) is None
    assert missing(namespace, "mcp").message.endswith("found: x (int)")


def test_a_wanted_name_of_another_type_is_an_error_with_its_line() -> None:
    with pytest.raises(Failure) as raised:
        found({"mcp": 42, "server": MCPServer()}, code="x = 1\nif x:\n    mcp = 42")
    assert (raised.value.code, raised.value.line) == ("bad_entry_object", 3)


def test_the_package_named_mcp_is_not_taken_for_the_entry() -> None:
    assert found({"mcp": pytest, "server": MCPServer()}) == "server"
    assert found({"mcp": pytest}) is None


def test_a_function_of_the_wanted_name_makes_the_server() -> None:
    def build(name: str = "x") -> Any:
        return MCPServer()

    def needs(name: str) -> Any:
        return MCPServer()

    assert found({"build": build}, "build") == "build"
    with pytest.raises(Failure):
        found({"needs": needs}, "needs")


def test_what_the_file_runs_is_served_unless_the_wanted_name_says_otherwise() -> None:
    first, second, app = MCPServer(), MCPServer(), FastAPI()
    namespace: dict[str, Any] = {"mcp": first, "second": second, "app": app}

    def name(value: Any, wanted: str) -> str | None:
        entry = of_running(value, namespace, wanted)
        return entry.name if entry else None

    assert name(second, "mcp") == "second"
    assert name(first, "second") == "second"
    assert name(app, "mcp") == "app"
    assert name(app, "app") == "app"
    assert name(MCPServer(), "other") == "MCPServer in a function"
    assert name(42, "other") is None
