"""Files as people have them: what a file does when Python runs it, it does here.

Each file in `field/` says on its first lines what must happen. The ones written out here, and in
`test_field_apps.py`, are further ones of the same kinds.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from containers import Client, wait_until
from field_files import ACCEPT, FIELD, INITIALIZE, Start, field, tool_names, tool_texts, without_a_session

# --- the guard -------------------------------------------------------------------------------------

ADDED_LATER = """
import sys
from fastmcp import FastMCP
app_server = FastMCP("late")
def double(n: int) -> int:
    return 2 * n
def build():
    app_server.tool(double)
    return app_server
if __name__ == "__main__":
    sys.exit(build().run())
"""

NONE_UNTIL_MAIN = """
from mcp.server.fastmcp import FastMCP
mcp = None
def main():
    global mcp
    mcp = FastMCP("made in main")
    @mcp.tool()
    def double(n: int) -> int:
        return 2 * n
    mcp.run(transport="sse")
if __name__ == "__main__":
    main()
"""

LOWLEVEL_2 = """
import anyio
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server
async def main():
    async def list_tools(ctx, params):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        return types.ListToolsResult(tools=[types.Tool(name="double", input_schema=schema)])
    async def call_tool(ctx, params):
        return types.CallToolResult(content=[types.TextContent(type="text", text=str(2 * params.arguments["n"]))])
    server = Server("low", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as streams:
        await server.run(*streams, server.create_initialization_options())
if __name__ == "__main__":
    anyio.run(main)
"""

SECOND_OF_TWO = """
from mcp.server.fastmcp import FastMCP
mcp = FastMCP("not this one")
other = FastMCP("this one")
@other.tool()
def double(n: int) -> int:
    return 2 * n
if __name__ == "__main__":
    other.run()
"""

DEMO_UNDER_THE_GUARD = """
import asyncio
from fastmcp import Client, FastMCP
mcp = FastMCP("demo")
@mcp.tool
def double(n: int) -> int:
    return 2 * n
async def demo():
    async with Client(mcp) as client:
        print(await client.call_tool("double", {"n": 4}))
if __name__ == "__main__":
    asyncio.run(demo())
"""


@pytest.mark.parametrize(
    "code", [ADDED_LATER, NONE_UNTIL_MAIN, LOWLEVEL_2, SECOND_OF_TWO, DEMO_UNDER_THE_GUARD],
    ids=["added_later", "none_until_main", "lowlevel_2", "second_of_two", "demo_under_the_guard"],
)  # fmt: skip
def test_what_stands_under_the_guard_counts(start: Start, client2: Client, code: str) -> None:
    server = start(code)
    server.ready()
    assert tool_names(client2, server) == {"double"}
    assert tool_texts(client2, server, ("double", {"n": 21})) == ["42"]


def test_tools_added_under_the_guard_are_listed(start: Start, client1: Client) -> None:
    server = start(field("guard-setup"))
    server.ready()
    assert tool_names(client1, server) == {"perimeter", "area"}


def test_globals_filled_under_the_guard_are_filled_and_arguments_reach_the_file(start: Start, client1: Client) -> None:
    server = start(field("guard-global"), EMCP_ARGS='["--rows", "2"]')
    server.ready()
    assert tool_texts(client1, server, ("stock", {"item": "bolt"})) == ["3"]


def test_threads_begun_under_the_guard_run(start: Start, client1: Client) -> None:
    server = start(field("background-guard"))
    server.ready()
    wait_until(lambda: int(tool_texts(client1, server, ("tea", {}))[0]) > 0, "the thread has counted")


def test_handlers_made_in_main_are_found(start: Start, client1: Client) -> None:
    server = start(field("lowlevel-in-main"))
    server.ready()
    for transport in ("http", "sse"):
        assert tool_names(client1, server, transport) == {"ping"}


def test_an_asynchronous_setup_under_the_guard_is_awaited(start: Start, client2: Client) -> None:
    server = start(field("guard-import-server"))
    server.ready()
    assert tool_names(client2, server) == {"sub_hello"}


def test_an_asynchronous_factory_is_awaited(start: Start, client2: Client) -> None:
    server = start(field("async-factory"), EMCP_ENTRY_OBJECT="create_server")
    assert server.ready()["entry"] == "create_server"
    assert tool_names(client2, server) == {"ping"}


# --- options of run() ------------------------------------------------------------------------------


def test_options_of_run_hold_for_mcpserver(start: Start) -> None:
    server = start(field("guard-run-options-mcp2"))
    server.ready()
    answer = without_a_session(server)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert "ignored, since EMCP says where the server listens: host, port" in server.text_log


def test_options_of_run_hold_for_fastmcp(start: Start) -> None:
    server = start(field("guard-run-options-fastmcp"))
    server.ready()
    answer = without_a_session(server)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-lamp"] == "lit"


@pytest.mark.parametrize(
    ("make", "run"),
    [
        ("from fastmcp import FastMCP\nmcp = FastMCP('p')\n", "mcp.run('http', path='/custom/')"),
        ("from mcp.server import MCPServer\nmcp = MCPServer('p')\n", "mcp.run('streamable-http', streamable_http_path='/custom')"),
        ("from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('p', streamable_http_path='/custom')\n", "mcp.run('streamable-http')"),
    ],
    ids=["fastmcp", "mcpserver", "sdk1"],
)
def test_the_path_that_a_file_gives_leads_to_its_endpoint_too(start: Start, make: str, run: str) -> None:
    server = start(f"{make}if __name__ == '__main__':\n    {run}\n")
    server.ready()
    for path in ("/mcp", "/custom", "/custom/"):
        assert server.request("POST", path, INITIALIZE, ACCEPT).status == 200, path


def test_a_wrong_argument_of_run_fails_as_it_does_in_python(start: Start) -> None:
    code = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('p')\nif __name__ == '__main__':\n    mcp.run(color='red')\n"
    event, _ = start(code).failed()
    assert event["line"] == 4
    assert "unexpected keyword argument 'color'" in event["message"]


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call", "said"),
    [("readonly-log", ("note", {"text": "a"}), "noted"), ("readonly-sqlite", ("jars", {}), "0")],
)
def test_a_file_may_write_beside_itself(
    start: Start, client1: Client, name: str, call: tuple[str, dict[str, Any]], said: str
) -> None:
    server = start(field(name))
    server.ready()
    assert tool_texts(client1, server, call) == [said]


def test_a_tool_may_write_beside_its_file(start: Start, client1: Client) -> None:
    server = start(field("readonly-tool"))
    server.ready()
    assert tool_texts(client1, server, ("fill", {"label": "a"}), ("export", {"text": "b"})) == ["filled", "written"]


@pytest.mark.parametrize(
    ("imports", "runtime"),
    [
        ("from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('w')", "mcp1"),
        ("from fastmcp import FastMCP\nmcp = FastMCP('w')", "mcp1"),
        ("from fastmcp import FastMCP\nmcp = FastMCP('w')", "mcp2"),
        ("from mcp.server import MCPServer\nmcp = MCPServer('w')", "mcp2"),
    ],
)
def test_a_tool_that_writes_where_nothing_may_be_written_is_told_where_it_may(
    start: Start, client1: Client, imports: str, runtime: str
) -> None:
    code = f"""{imports}
import sqlite3
@mcp.tool()
def outside() -> str:
    open("/app/out.txt", "w")
    return "written"
@mcp.tool()
def nowhere() -> str:
    sqlite3.connect("/no/such/folder/x.db")
    return "opened"
@mcp.tool()
def ends() -> str:
    import sys
    sys.exit(3)
@mcp.tool()
def ping() -> str:
    return "pong"
if __name__ == "__main__":
    mcp.run()
"""
    server = start(code, EMCP_RUNTIME=runtime)
    server.ready()
    outside, nowhere, ends, pong = tool_texts(
        client1, server, ("outside", {}), ("nowhere", {}), ("ends", {}), ("ping", {})
    )
    assert "working directory (/tmp/server)" in outside and "working directory (/tmp/server)" in nowhere
    # Version 2 of the SDK keeps what an exception says on the server.
    assert "MCPServer" in imports or "Read-only file system" in outside and "unable to open database file" in nowhere
    assert "tried to end the whole program" in ends and "(exit code 3)" in ends and "line" in ends
    assert pong == "pong"


def test_a_file_that_writes_outside_while_it_loads_is_told_where_it_may(start: Start) -> None:
    event, _ = start("open('/var/log/mine.log', 'a')\n").failed()
    assert "working directory (/tmp/server)" in event["message"]


def test_libraries_find_places_of_their_own(start: Start, client1: Client) -> None:
    code = """
import os, pathlib
from mcp.server.fastmcp import FastMCP
mcp = FastMCP("homes")
@mcp.tool()
def places() -> str:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR", "NLTK_DATA"):
        place = pathlib.Path(os.environ[name])
        place.mkdir(parents=True, exist_ok=True)
        (place / "kept").write_text("x")
    return "all"
"""
    server = start(code)
    server.ready()
    assert tool_texts(client1, server, ("places", {})) == ["all"]


# --- which Python, which fastmcp ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(field("py312-fstring"), id="fstring"),
        pytest.param(field("py312-generic"), id="generic"),
        pytest.param(field("py312-typing"), id="typing"),
        pytest.param("class Box[T]:\n    pass\n", id="class"),
        pytest.param("name = 'a'\nprint(f'{name + 'b'}')\n", id="fstring_operator"),
        pytest.param("from warnings import deprecated\n", id="3.13"),
        pytest.param("try:\n    pass\nexcept ValueError, TypeError:\n    pass\n", id="3.14"),
    ],
)
def test_what_needs_a_later_python_is_told_so(start: Start, code: str) -> None:
    event, _ = start(code).failed()
    assert re.search(r"the image has Python 3\.\d+, and this needs Python 3\.1[234] or later", event["message"])


OLD_FASTMCP = """
from fastmcp import FastMCP
mcp = FastMCP("old", debug=True, log_level="INFO", host="0.0.0.0", port=9000, stateless_http=True, json_response=True,
              on_duplicate_tools="warn")
@mcp.tool
def ping() -> str:
    return "pong"
if __name__ == "__main__":
    mcp.run(transport="http")
"""


@pytest.mark.parametrize("runtime", ["mcp1", "mcp2"])
def test_arguments_that_fastmcp_took_out_are_dropped_or_hold(start: Start, runtime: str) -> None:
    server = start(OLD_FASTMCP, EMCP_RUNTIME=runtime)
    server.ready()
    assert "FastMCP() no longer takes debug, log_level, host, port; ignored" in server.text_log
    assert without_a_session(server).headers["content-type"] == "application/json"


def test_a_name_that_moved_is_told_with_its_new_place(start: Start) -> None:
    event, _ = start("from fastmcp import FastMCP, Image\nmcp = FastMCP('x')\n").failed()
    assert "from fastmcp.utilities.types import Image" in event["message"]


def test_the_hint_about_the_other_environment_leads_nowhere_in_a_circle(start: Start) -> None:
    both = "from mcp.server.mcpserver import MCPServer\nfrom mcp.server.fastmcp import FastMCP\n"
    for runtime in ("mcp1", "mcp2"):
        event, _ = start(both, EMCP_RUNTIME=runtime).failed()
        assert "bring the file to one version of the SDK" in event["message"]


# --- endings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('set API_KEY first')\nraise SystemExit(2)\n", "exit code 2) instead of providing a server; its last line: set API_KEY first"),
        ("import sys\nsys.exit('set API_KEY first')\n", "exit code 1: set API_KEY first"),
        (
            "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--db', required=True)\nparser.parse_args()\n",
            "the following arguments are required: --db",
        ),
    ],
    ids=["print", "sentence", "argparse"],
)  # fmt: skip
def test_the_last_sentence_of_a_file_is_in_the_reason(start: Start, code: str, said: str) -> None:
    event, exit_code = start(code).failed()
    assert said in event["message"]
    assert exit_code == 71


ARGPARSE = """
import argparse
from fastmcp import FastMCP
mcp = FastMCP("shelf")
parser = argparse.ArgumentParser()
parser.add_argument("root")
parser.add_argument("--rows", type=int, default=1)
options = parser.parse_args()
@mcp.tool()
def shown() -> str:
    return f"{options.root} {options.rows}"
mcp.run()
"""


@pytest.mark.parametrize(
    "code",
    [
        ARGPARSE,
        "import sys\nroot = sys.argv[1]\n",
        "import sys\n_, root = sys.argv\n",
        "import sys\nif len(sys.argv) < 2:\n    print('Usage: server.py ROOT', file=sys.stderr)\n    sys.exit(1)\n",
        "import sys\nif len(sys.argv) < 2:\n    sys.exit('usage: server.py ROOT')\n",
        "import click\n@click.command()\n@click.argument('root')\ndef main(root): pass\nif __name__ == '__main__':\n    main()\n",
    ],
    ids=["argparse", "argv", "unpacked", "usage printed", "usage as code", "click"],
)
def test_a_file_that_wants_arguments_is_told_where_they_are_set(start: Start, code: str) -> None:
    event, _ = start(code).failed()
    assert "the server's args" in event["message"]


def test_arguments_are_not_named_where_they_are_not_the_reason(start: Start) -> None:
    for code in ("print('set API_KEY first')\nraise SystemExit(2)\n", "rows = []\nrow = rows[1]\n"):
        event, _ = start(code).failed()
        assert "args" not in event["message"]


def test_a_file_gets_its_arguments(start: Start, client1: Client) -> None:
    server = start(ARGPARSE, EMCP_ARGS='["the place", "--rows", "3"]')
    server.ready()
    assert tool_texts(client1, server, ("shown", {})) == ["the place 3"]


def test_a_handler_that_ends_the_program_is_told_with_its_place(start: Start) -> None:
    # In SDK 1 a low-level handler runs in a task of its session, where nothing stands between it and the loop.
    server = start(field("lowlevel-in-main").replace('return [types.TextContent', 'raise SystemExit(3)\n        return [types.TextContent'))
    server.ready()
    opened = server.request("POST", "/mcp", INITIALIZE, ACCEPT)
    connection = server.connection()
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "ping", "arguments": {}}}
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Content-Type": "application/json", **ACCEPT}
    connection.request("POST", "/mcp", json.dumps(call), {**session, "X-Emcp-Gateway-Key": server.key})
    assert server.wait_exit() == 3
    connection.close()
    wait_until(lambda: "ended the program itself in line" in server.text_log, "the place is told")


# --- text, modules, noise ----------------------------------------------------------------------------


def test_a_declared_encoding_is_read_as_python_reads_it(start: Start, client1: Client) -> None:
    code = '# -*- coding: gbk -*-\nfrom mcp.server.fastmcp import FastMCP\nmcp = FastMCP("g")\n@mcp.tool()\ndef hi() -> str:\n    return "你好"\n'
    server = start(code.encode("gbk"))
    server.ready()
    assert tool_texts(client1, server, ("hi", {})) == ["你好"]


def test_a_module_of_the_project_is_told_apart_from_a_package(start: Start) -> None:
    event, _ = start(field("local-module")).failed()
    assert "only this one file was uploaded" in event["message"]
    event, _ = start(field("relative-import")).failed()
    assert "only this one file was uploaded" in event["message"]
    event, _ = start("import bs4\n").failed()
    assert "emcp-pip install beautifulsoup4" in event["message"]


@pytest.mark.parametrize("file", ["sdk1_fastmcp", "sdk2_mcpserver", "fastmcp3", "fastmcp4"])
def test_a_session_that_ends_well_writes_no_traceback(
    start: Start, client1: Client, client2: Client, file: str
) -> None:
    server = start((FIELD.with_name("servers") / f"{file}.py").read_text())
    server.ready()
    for client in (client1, client2):
        for transport in ("http", "sse"):
            tool_names(client, server, transport)
    # Once it has ended, everything it had to say is there.
    server.stop()
    assert "Traceback" not in server.text_log
