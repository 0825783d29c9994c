"""Failure is told: whatever is wrong with a file, its developer learns what, where, and what the output was.

All cases run on a platform with a short start timeout, started together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import pytest

from support.docker import docker
from support.running import Platform
from support.streams import knock
from support.waits import until

Json = dict[str, Any]

START_TIMEOUT_SECS = 40
# Five cases share two cores while they import, beside other tests; one of them is only over after the start timeout.
TOLD_WITHIN_SECS = START_TIMEOUT_SECS + 25.0
# Far less than the 30 s between two looks at all containers.
CRASH_TOLD_WITHIN_SECS = 15.0
SMALL_MEMORY_BYTES = 96 * 1024 * 1024


@dataclass(frozen=True)
class Case:
    """A file that cannot work, and what must be said about it."""

    name: str
    code: str
    says: str
    file: str
    line: int | None = None
    exit_code: int | None = None
    logged: str = ""
    memory_bytes: int | None = None


CASES = [
    Case(
        "syntax-error",
        code="syntax_error",
        exit_code=70,
        line=3,
        says="",
        logged="SyntaxError",
        file="""
            from mcp.server.fastmcp import FastMCP

            mcp = FastMCP('x'

            @mcp.tool()
            def f(): ...
        """,
    ),
    Case(
        "import-error",
        code="import_error",
        exit_code=71,
        line=4,
        says="database.example is not there",
        logged="ConnectionError: database.example is not there",
        file="""
            from mcp.server.fastmcp import FastMCP

            mcp = FastMCP('x')
            raise ConnectionError('database.example is not there')
        """,
    ),
    Case(
        "exit-at-start",
        code="import_error",
        exit_code=71,
        line=3,
        says="9",
        file="""
            import sys

            sys.exit(9)
        """,
    ),
    Case(
        "missing-import",
        code="missing_dependency",
        exit_code=72,
        line=2,
        says="a_package_nobody_has",
        logged="ModuleNotFoundError",
        file="""
            from mcp.server.fastmcp import FastMCP
            import a_package_nobody_has

            mcp = FastMCP('x')
        """,
    ),
    Case(
        "no-entry-object",
        code="no_entry_object",
        exit_code=73,
        says="mcp",
        file="""
            def add(a: int, b: int) -> int:
                return a + b
        """,
    ),
    Case(
        "wrong-type",
        code="bad_entry_object",
        exit_code=74,
        line=1,
        says="mcp",
        file="mcp = {'tools': ['add']}",
    ),
    Case(
        "lifespan-fails",
        code="serve_failed",
        exit_code=75,
        line=8,
        says="the licence has run out",
        logged="RuntimeError: the licence has run out",
        file="""
            from contextlib import asynccontextmanager

            from starlette.applications import Starlette


            @asynccontextmanager
            async def lifespan(app):
                raise RuntimeError('the licence has run out')
                yield


            mcp = Starlette(lifespan=lifespan)
        """,
    ),
    Case(
        "exit-later",
        code="crashed",
        exit_code=3,
        says="exit code 3",
        logged="giving up now",
        file="""
            import os
            import threading

            from mcp.server.fastmcp import FastMCP

            mcp = FastMCP('x')


            def end() -> None:
                print('giving up now', flush=True)
                os._exit(3)


            threading.Timer(2.0, end).start()
        """,
    ),
    Case(
        "out-of-memory",
        code="out_of_memory",
        exit_code=137,
        says="memory",
        logged="filling up",
        memory_bytes=SMALL_MEMORY_BYTES,
        file="""
            from mcp.server.fastmcp import FastMCP

            mcp = FastMCP('x')
            print('filling up', flush=True)
            hoard = [bytes([1]) * 4_000_000 for _ in range(200)]
        """,
    ),
    Case(
        "never-ready",
        code="start_timeout",
        says="",
        logged="waiting for a lock",
        file="""
            import threading

            from mcp.server.fastmcp import FastMCP

            mcp = FastMCP('x')
            print('waiting for a lock', flush=True)
            threading.Event().wait()
        """,
    ),
]


@pytest.fixture(scope="module")
def strict(new_platform: Callable[..., Platform]) -> Iterator[Platform]:
    """A platform that gives up on a start soon, with every failing file started on it."""
    platform = new_platform(EMCP_START_TIMEOUT_SECS=str(START_TIMEOUT_SECS))
    for case in CASES:
        platform.api.create(case.name, cleandoc(case.file))
        if case.memory_bytes is not None:
            platform.api.call(
                "PATCH", f"/api/servers/{case.name}", json={"limits": {"memory_bytes": case.memory_bytes}}
            )
        platform.api.action(case.name, "start")
    yield platform


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failure_is_told(strict: Platform, case: Case) -> None:
    def failed() -> Json | None:
        server = strict.api.server(case.name)
        return server if server["status"] == "error" else None

    server = until(f"{case.name} to be in error", failed, TOLD_WITHIN_SECS)
    error = server["last_error"]
    assert error["code"] == case.code, error
    assert case.says in error["message"]
    # A sentence for a developer: words, not a traceback.
    assert " " in error["message"] and "\n" not in error["message"]
    assert error.get("line") == case.line
    if case.exit_code is not None:
        assert server["exit_code"] == case.exit_code
    assert error["message"] in server["reason"]
    assert case.logged in "\n".join(error["log_tail"])
    # The log says the same as the API.
    log = strict.api.log(case.name)
    assert case.logged in log
    for line in error["log_tail"]:
        assert line in log


def test_a_failure_shows_the_users_lines_of_the_traceback_only(strict: Platform) -> None:
    strict.api.wait_for("import-error", "error")
    tail = "\n".join(strict.api.server("import-error")["last_error"]["log_tail"])
    assert 'server.py", line 4' in tail
    assert "bootstrap" not in tail


def test_a_failed_server_answers_clients_with_the_reason(strict: Platform) -> None:
    strict.api.wait_for("wrong-type", "error")
    answer = knock(strict.api, "wrong-type", {"Authorization": f"Bearer {strict.admin_token}"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    error = answer.json()["error"]
    assert error["code"] == "server_failed"
    assert strict.api.server("wrong-type")["last_error"]["message"] in error["message"]


def test_a_file_that_cannot_work_is_not_tried_again(strict: Platform) -> None:
    """A mistake in the file stays one until the file changes; trying again would only cost."""
    for name in ("syntax-error", "missing-import", "no-entry-object"):
        strict.api.wait_for(name, "error")
        assert strict.api.server(name)["restarts"] == 0


def test_a_crash_is_told_within_seconds(strict: Platform) -> None:
    """A crash must not wait for the next regular look at all containers."""
    name = "crashes-on-demand"
    strict.api.create(name, "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('x')\n", start="true")
    server = strict.api.wait_for(name, "running")
    docker("kill", server["container_id"])
    until("the crash to be told", lambda: strict.api.server(name)["status"] != "running", CRASH_TOLD_WITHIN_SECS)

    def back_again() -> Json | None:
        found = strict.api.server(name)
        return found if found["status"] == "running" else None

    again = until("it to run again", back_again, TOLD_WITHIN_SECS)
    # Nobody may have looked in between: why it was restarted is still there.
    assert (again["restarts"], again["last_error"]["code"]) == (1, "crashed")
    assert again["last_error"]["args"] == {"exit_code": 137, "signal": 9}
    events = strict.api.call("GET", f"/api/servers/{name}/events")["events"]
    told = [event["args"]["failure"]["code"] for event in events if event["code"] == "failed_restarting"]
    assert told == ["crashed"]
    mended = strict.api.action(name, "restart", wait_secs=60)
    assert (mended["status"], mended["restarts"], mended["last_error"]) == ("running", 0, None)
    strict.api.delete(name)


def test_a_crashing_server_is_tried_again_and_then_given_up(strict: Platform) -> None:
    def given_up() -> Json | None:
        server = strict.api.server("exit-later")
        return server if server["reason_code"] == "failed_too_often" else None

    # Five starts and 15 s of waiting between them, beside whatever else the machine does.
    server = until("EMCP to give up on exit-later", given_up, 180)
    assert server["status"] == "error"
    assert server["reason_args"]["failures"] == 5
    assert server["reason_args"]["failure"]["args"] == {"exit_code": 3}
    assert "not tried again" in server["reason"]
    assert server["restarts"] >= 3
    assert server["exit_code"] == 3


def test_a_mended_file_runs(strict: Platform) -> None:
    """The way out of every failure: upload the next version and start it."""
    name = "no-entry-object"
    strict.api.wait_for(name, "error")
    mended = "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('mended')\n"
    files = {"file": ("server.py", mended, "text/x-python")}
    strict.api.call("PUT", f"/api/servers/{name}/code", files=files)
    server = strict.api.action(name, "restart", wait_secs=60)
    assert server["status"] == "running", server["last_error"]
    assert server["last_error"] is None
    assert server["version"] == 2


def test_one_failure_more_does_not_hurt_a_running_server(strict: Platform) -> None:
    """A server that lacks nothing runs beside all of these."""
    strict.api.create("healthy", "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('healthy')\n", start="true")
    server = strict.api.wait_for("healthy", "running")
    assert server["last_error"] is None
    assert server["restarts"] == 0
