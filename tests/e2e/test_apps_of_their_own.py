"""An app without MCP is not said to answer MCP, and one with MCP elsewhere is said to where it does."""

import secrets
from typing import Any

import httpx

from support.api import Api
from support.clients import bearer
from support.running import Platform

Json = dict[str, Any]

PLAIN = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
def hello():
    return {"hello": "world"}
"""
# As the SDK's own examples for low-level servers have it: no route shows what is behind it.
HAND_MADE = """
import contextlib

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Mount

server = Server("by hand")


@server.list_tools()
async def list_tools():
    return [types.Tool(name="ping", inputSchema={"type": "object"})]


manager = StreamableHTTPSessionManager(app=server)


async def handle(scope, receive, send):
    await manager.handle_request(scope, receive, send)


@contextlib.asynccontextmanager
async def lifespan(app):
    async with manager.run():
        yield


app = Starlette(routes=[Mount("/mcp", app=handle)], lifespan=lifespan)
"""
TWO_MOUNTS = """
import contextlib

from mcp.server.fastmcp import FastMCP
from starlette.applications import Starlette
from starlette.routing import Mount

one, two = FastMCP("one"), FastMCP("two")


@contextlib.asynccontextmanager
async def lifespan(app):
    async with one.session_manager.run(), two.session_manager.run():
        yield


app = Starlette(
    routes=[Mount("/one", app=one.streamable_http_app()), Mount("/two", app=two.streamable_http_app())],
    lifespan=lifespan,
)
"""


def start(api: Api, code: str) -> Json:
    name = f"app-{secrets.token_hex(2)}"
    api.create(name, code, entry_object="app", start="true")
    return api.wait_for(name, "running")


def get(platform: Platform, path: str) -> httpx.Response:
    return platform.api.request("GET", path, headers=bearer(platform.admin_token))


def test_a_plain_app_says_that_it_has_no_mcp_endpoint_and_where_it_is(platform: Platform, api: Api) -> None:
    server = start(api, PLAIN)
    name = server["name"]
    base = f"{platform.public_url}/api/{name}/"
    assert server["reason_code"] == "serving_http"
    assert "no MCP endpoint" in server["reason"] and "answers MCP" not in server["reason"]
    assert server["urls"] == {"base": base}
    messages = [event["message"] for event in api.call("GET", f"/api/servers/{name}/events")["events"]]
    assert not any("answers MCP" in message for message in messages), messages

    connection = api.call("GET", f"/api/servers/{name}/connection")
    assert connection["urls"] == {"base": base}
    assert "clients" not in connection and base in connection["curl"]
    for path in (f"/api/{name}", f"/api/{name}/"):
        assert get(platform, path).json()["paths"] == {"base": f"/api/{name}/"}, path
    assert get(platform, f"/api/{name}/hello").json() == {"hello": "world"}
    assert get(platform, f"/api/{name}/nothing").status_code == 404

    tools = api.request("GET", f"/api/servers/{name}/tools")
    assert (tools.status_code, tools.json()["error"]["code"]) == (409, "no_mcp_endpoint")
    tested = api.call("POST", f"/api/servers/{name}/test")
    steps = {step["code"]: step for step in tested["steps"]}
    assert steps["gate"]["ok"] is True
    assert (steps["initialize"]["ok"], steps["initialize"]["detail_code"]) == (False, "no_mcp_endpoint")
    api.delete(name)


def test_mcp_that_no_route_shows_is_found_by_asking(platform: Platform, api: Api) -> None:
    server = start(api, HAND_MADE)
    assert server["reason_code"] == "serving"
    assert server["urls"] == {"mcp": f"{platform.public_url}/api/{server['name']}/mcp"}
    tools = api.call("GET", f"/api/servers/{server['name']}/tools")["tools"]
    assert [tool["name"] for tool in tools] == ["ping"]
    connection = api.call("GET", f"/api/servers/{server['name']}/connection")
    assert set(connection["clients"]["cherry_studio"]) == {"streamable_http"}
    api.delete(server["name"])


def test_an_app_with_several_endpoints_says_where_they_are(platform: Platform, api: Api) -> None:
    server = start(api, TWO_MOUNTS)
    base = f"{platform.public_url}/api/{server['name']}"
    assert server["reason_code"] == "serving"
    assert server["urls"] == {"mcp": f"{base}/one/mcp", "more": [f"{base}/two/mcp"]}
    assert get(platform, f"/api/{server['name']}/").json()["paths"] == {"mcp": f"/api/{server['name']}/one/mcp"}
    assert api.call("GET", f"/api/servers/{server['name']}/tools")["tools"] == []
    api.delete(server["name"])
