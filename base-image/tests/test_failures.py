"""Every failure is one report line with its code, its line number, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from containers import Server

FASTMCP = "from mcp.server.fastmcp import FastMCP\n"

# name, code of the file, report code, exit code, line, words of the message
CASES = [
    ("syntax", "x = 1\ndef broken(:\n    pass\n", "syntax_error", 70, 2, "invalid syntax"),
    ("syntax_of_compiler", "x = 1\nreturn x\n", "syntax_error", 70, 2, "outside function"),
    ("null_byte", "x = 1\nz\0 = 2\n", "syntax_error", 70, None, "null bytes"),
    ("raises", FASTMCP + "def f():\n    return {}['token']\nf()\n", "import_error", 71, 3, "KeyError: 'token'"),
    ("exits", FASTMCP + "import sys\nsys.exit(3)\n", "import_error", 71, 3, "exit code 3"),
    ("exits_in_main", "def main():\n    exit()\nif __name__ == '__main__':\n    main()\n", "import_error", 71, 2, "exit code 0"),
    ("wrong_name", "from mcp.server.fastmcp import FastMPC\n", "import_error", 71, 1, "FastMPC"),
    ("no_module", FASTMCP + "import no_such_package\n", "missing_dependency", 72, 2, "'no_such_package' (package 'no-such-package') is not in the image"),
    ("no_submodule", "import pandas.nothing\n", "missing_dependency", 72, 1, "has no module 'pandas.nothing'"),
    ("no_entry", "x = 1\nname = 'y'\n", "no_entry_object", 73, None, "found: name (str), x (int)"),
    ("empty", "", "no_entry_object", 73, None, "the file defines no objects"),
    ("bad_entry", "x = 1\nmcp = 42\n", "bad_entry_object", 74, 2, "'mcp' is of type int"),
    ("ambiguous", FASTMCP + "a = FastMCP('a')\nb = FastMCP('b')\n", "bad_entry_object", 74, 2, "a (FastMCP server), b (FastMCP server)"),
    ("lifespan", "from fastapi import FastAPI\nfrom contextlib import asynccontextmanager\n@asynccontextmanager\nasync def life(app):\n    raise OSError('no database')\n    yield\napp = FastAPI(lifespan=life)\n", "serve_failed", 75, 5, "OSError: no database"),
    ("mcp_lifespan", "from mcp.server.mcpserver import MCPServer\nfrom contextlib import asynccontextmanager\n@asynccontextmanager\nasync def life(app):\n    raise OSError('no database')\n    yield\nmcp = MCPServer('x', lifespan=life)\n", "serve_failed", 75, 5, "OSError: no database"),
    ("port_taken", FASTMCP + "import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 8000))\ns.listen()\nmcp = FastMCP('a')\n", "serve_failed", 75, None, "port 8000"),
    ("not_utf8", b"x = 1\ny = '\xff\xfe'\n", "code_not_found", 76, 2, "save the file as UTF-8"),
    ("no_file", None, "code_not_found", 76, None, "no file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "report", "exit_code", "line", "words"), CASES, ids=[row[0] for row in CASES])
def test_a_failure_is_reported_once_with_code_line_and_exit_code(
    start: Callable[..., Server],
    name: str,
    code: str | bytes | None,
    report: str,
    exit_code: int,
    line: int | None,
    words: str,
) -> None:
    server = start(code)
    event, exited_with = server.failed()
    assert (event["code"], exited_with, event["line"]) == (report, exit_code, line)
    assert words in event["message"]
    assert event["file"] == ("server.py" if line else None)
    assert "/opt/emcp/bootstrap" not in server.text_log and "emcp_bootstrap" not in server.text_log


def test_a_traceback_shows_only_the_users_frames(start: Callable[..., Server]) -> None:
    server = start("import json\ndef load():\n    return json.loads('{')\nload()\n")
    event, _ = server.failed()
    assert event["line"] == 3
    lines = [line for line in server.log if not line.startswith(('{"emcp"', "emcp:"))]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "/tmp/server/server.py", line 4, in <module>',
        "    load()",
        '  File "/tmp/server/server.py", line 3, in load',
        "    return json.loads('{')",
        "           ^^^^^^^^^^^^^^^",
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]


def test_a_syntax_error_shows_the_text_and_a_caret(start: Callable[..., Server]) -> None:
    server = start("x = 1\nprint('a' 'b' c)\n")
    server.failed()
    assert "    print('a' 'b' c)" in server.log
    assert any(set(line.strip()) == {"^"} for line in server.log)


@pytest.mark.parametrize(
    ("statement", "named", "says"),
    [
        ("import bs4", {"module": "bs4", "distribution": "beautifulsoup4", "is_own": False}, "emcp-pip install beautifulsoup4"),
        ("from sklearn.svm import SVC", {"module": "sklearn", "distribution": "scikit-learn", "is_own": False}, "ask whoever runs this platform"),
        ("from utils import x", {"module": "utils", "distribution": "utils", "is_own": True}, "only this one file was uploaded"),
        ("import weather_helpers", {"module": "weather_helpers", "distribution": "weather-helpers", "is_own": True}, "only this one file was uploaded"),
    ],
)  # fmt: skip
def test_a_missing_module_is_told_with_what_brings_it(
    start: Callable[..., Server], statement: str, named: dict[str, str | bool], says: str
) -> None:
    event, _ = start(FASTMCP + statement + "\n").failed()
    assert event["code"] == "missing_dependency"
    assert event["args"] == named
    assert says in event["message"]


def test_a_module_of_the_other_environment_is_told(start: Callable[..., Server]) -> None:
    event, _ = start("from mcp.server.mcpserver import MCPServer\n", EMCP_RUNTIME="mcp1").failed()
    assert event["code"] == "missing_dependency"
    assert "set the server's runtime to mcp2" in event["message"]
    event, _ = start("from mcp.server.fastmcp import FastMCP\n", EMCP_RUNTIME="mcp2").failed()
    assert event["code"] == "missing_dependency"
    assert "set the server's runtime to mcp1" in event["message"]
    event, _ = start("from mcp.server import MCPServer\n", EMCP_RUNTIME="mcp1").failed()
    assert event["code"] == "import_error"
    assert "set the server's runtime to mcp2" in event["message"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EMCP_PATH_PREFIX", "api/demo/"),
        ("EMCP_ENTRY_OBJECT", "not a name"),
        ("EMCP_RUNTIME", "mcp3"),
        ("EMCP_PORT", "eighty"),
        ("EMCP_SERVER_NAME", "a b"),
        ("EMCP_GATEWAY_KEY", "with space"),
    ],
)
def test_a_malformed_setting_breaks_the_contract(start: Callable[..., Server], variable: str, value: str) -> None:
    settings = {"prefix": value} if variable == "EMCP_PATH_PREFIX" else {"key": value} if "KEY" in variable else {variable: value}
    event, exit_code = start("mcp = 1", **settings).failed()
    assert (event["code"], exit_code) == ("bad_contract", 77)
    assert variable in event["message"]


def test_threads_and_broad_handlers_do_not_keep_a_failed_server_alive(start: Callable[..., Server]) -> None:
    code = """
import sys, threading
threading.Thread(target=threading.Event().wait).start()
sys.stdout = sys.stderr = open('/dev/null', 'w')
raise RuntimeError('结束')
"""
    event, exit_code = start(code).failed()
    assert (event["code"], exit_code, event["message"]) == ("import_error", 71, "RuntimeError: 结束")


def test_the_report_is_a_json_object_with_a_single_key(start: Callable[..., Server]) -> None:
    server = start("raise ValueError('a\\nb')")
    server.failed()
    reports = [json.loads(line) for line in server.log if line.startswith("{")]
    assert [list(report) for report in reports] == [["emcp"]]
    assert reports[0]["emcp"]["message"] == "ValueError: a\nb"
