"""Files as people have them that put an app around their server, or several servers into one."""

from __future__ import annotations

import pytest
from containers import Client
from field_files import ACCEPT, FIELD, INITIALIZE, Start, field, tool_names, tool_texts


# --- an app around the server ----------------------------------------------------------------------


def test_middleware_around_the_server_answers_browsers_and_sse_is_there_too(start: Start, client1: Client) -> None:
    server = start(field("cors-wrapped"))
    assert server.ready()["kind"] == "asgi"
    answer = server.request("POST", "/mcp", INITIALIZE, {**ACCEPT, "Origin": "https://page.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    for transport in ("http", "sse"):
        assert tool_names(client1, server, transport) == {"ping"}


def test_an_app_around_the_server_is_served_whole(start: Start, client1: Client) -> None:
    server = start(field("mounted-app"))
    assert server.ready()["mcp"] is True
    assert server.request("GET", "/hello").json() == {"hello": "world"}
    assert "app lifespan entered" in server.text_log
    for transport in ("http", "sse"):
        assert tool_names(client1, server, transport) == {"ping"}


GUARDED_APP = """
import uvicorn
from fastmcp import FastMCP
from starlette.responses import PlainTextResponse
mcp = FastMCP("closed")
@mcp.tool
def ping() -> str:
    return "pong"
class NeedsWord:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and dict(scope["headers"]).get(b"x-word") != b"sesame":
            await PlainTextResponse("no", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)
app = NeedsWord(mcp.http_app())
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=9000)
"""


def test_what_a_file_puts_around_its_server_is_around_sse_too(start: Start) -> None:
    server = start(GUARDED_APP)
    server.ready()
    for method, path in (("POST", "/mcp"), ("GET", "/sse"), ("POST", "/messages/?session_id=1")):
        assert server.request(method, path, INITIALIZE, ACCEPT).status == 403, path
    assert server.request("POST", "/mcp", INITIALIZE, {**ACCEPT, "X-Word": "sesame"}).status == 200


PLAIN_APP = """
from fastapi import FastAPI
app = FastAPI()
@app.get('/hello')
def hello():
    return 'hello'
"""
ROOTED_APP = PLAIN_APP + """
@app.get('/')
def root():
    return 'mine'
"""
TWO_MOUNTS = """
from mcp.server.fastmcp import FastMCP
from starlette.applications import Starlette
from starlette.routing import Mount
app = Starlette(routes=[Mount('/' + name, app=FastMCP(name).sse_app()) for name in ('one', 'two')])
"""


@pytest.mark.parametrize(
    ("code", "mcp", "paths", "top"),
    [
        (PLAIN_APP, False, {"mcp": [], "sse": []}, {"base": "/api/demo/"}),
        (ROOTED_APP, False, {"mcp": [], "sse": []}, None),
        (TWO_MOUNTS, False, {"mcp": [], "sse": ["/one/sse", "/two/sse"]}, {"sse": "/api/demo/one/sse"}),
        (GUARDED_APP, True, {"mcp": ["/mcp"], "sse": ["/sse"]}, None),
        (field("cors-wrapped"), True, {"mcp": ["/mcp"], "sse": ["/sse"]}, {"mcp": "/api/demo/mcp", "sse": "/api/demo/sse"}),
    ],
    ids=["plain", "with a top of its own", "elsewhere", "guarded", "around"],
)
def test_where_mcp_is_answered_is_told(
    start: Start, code: str, mcp: bool, paths: dict[str, list[str]], top: dict[str, str] | None
) -> None:
    server = start(code, EMCP_ENTRY_OBJECT="app")
    told = server.ready()
    assert (told["mcp"], told["paths"]) == (mcp, paths)
    answer = server.request("GET", "/")
    if top is not None:
        assert (answer.status, answer.json()["paths"]) == (200, top)
    else:
        assert "paths" not in answer.body
    assert server.request("GET", "/nothing").status in (403, 404)


MOUNTED_FASTMCP = """
from fastapi import FastAPI
from fastmcp import FastMCP
mcp = FastMCP("mounted")
@mcp.tool
def ping() -> str:
    return "pong"
inner = mcp.http_app(path={path!r})
app = FastAPI(lifespan=inner.lifespan)
app.mount({mount!r}, inner)
if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app)
"""

MOUNTED_SDK1 = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from mcp.server.fastmcp import FastMCP
mcp = FastMCP("mounted")
@mcp.tool()
def ping() -> str:
    return "pong"
@asynccontextmanager
async def lifespan(app):
    async with mcp.session_manager.run():
        yield
app = FastAPI(lifespan=lifespan)
app.mount("/llm", mcp.streamable_http_app())
if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app)
"""


@pytest.mark.parametrize(
    ("code", "runtime"),
    [
        (MOUNTED_FASTMCP.format(path="/mcp", mount="/"), "mcp1"),
        (MOUNTED_FASTMCP.format(path="/mcp", mount="/"), "mcp2"),
        (MOUNTED_FASTMCP.format(path="/", mount="/mcp"), "mcp1"),
        (MOUNTED_FASTMCP.format(path="/", mount="/mcp"), "mcp2"),
        (MOUNTED_FASTMCP.format(path="/mcp", mount="/llm"), "mcp2"),
        (MOUNTED_SDK1, "mcp1"),
    ],
    ids=["root_3", "root_4", "mcp_3", "mcp_4", "elsewhere_4", "elsewhere_sdk1"],
)
def test_sse_is_there_too_wherever_a_server_is_mounted(start: Start, client1: Client, code: str, runtime: str) -> None:
    server = start(code, EMCP_RUNTIME=runtime)
    assert server.ready()["mcp"] is True
    for transport in ("http", "sse"):
        assert tool_texts(client1, server, ("ping", {}), transport=transport) == ["pong"]


def test_what_is_around_a_mounted_server_alone_is_around_sse_too(start: Start) -> None:
    code = GUARDED_APP.replace(
        "app = NeedsWord(mcp.http_app())",
        "from starlette.middleware import Middleware\n"
        "from starlette.applications import Starlette\n"
        "from starlette.routing import Mount\n"
        "inner = mcp.http_app(path='/', middleware=[Middleware(NeedsWord)])\n"
        "app = Starlette(routes=[Mount('/mcp', inner)], lifespan=inner.lifespan)",
    )
    server = start(code)
    server.ready()
    for method, path in (("POST", "/mcp"), ("GET", "/sse"), ("POST", "/messages/?session_id=1")):
        assert server.request(method, path, INITIALIZE, ACCEPT).status == 403, path
    assert server.request("POST", "/mcp", INITIALIZE, {**ACCEPT, "X-Word": "sesame"}).status == 200


# --- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["sdk1_fastmcp", "sdk2_mcpserver", "fastmcp3", "fastmcp4", "lowlevel1", "lowlevel2"])
def test_a_get_without_a_session_is_405_and_the_top_tells_the_addresses(start: Start, file: str) -> None:
    server = start((FIELD.with_name("servers") / f"{file}.py").read_text())
    server.ready()
    answer = server.request("GET", "/mcp", headers={"Accept": "text/event-stream"})
    assert (answer.status, answer.headers["allow"]) == (405, "POST, DELETE")
    assert server.request("GET", "/").json()["paths"] == {"mcp": "/api/demo/mcp", "sse": "/api/demo/sse"}


def test_a_page_of_the_file_at_the_top_stays_its_own(start: Start) -> None:
    code = """
from fastmcp import FastMCP
from starlette.responses import PlainTextResponse
mcp = FastMCP("page")
@mcp.custom_route("/", methods=["GET"])
async def top(request):
    return PlainTextResponse("mine")
"""
    server = start(code)
    server.ready()
    assert server.request("GET", "/").body == "mine"
