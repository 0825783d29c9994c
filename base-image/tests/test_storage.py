"""A server with storage runs in it. Here a folder of memory stands for its disk: what is tried is the bootstrap's part.

The disk itself, and how it lasts, is tried end to end (`tests/e2e/test_storage.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from containers import HARDENING, IMAGE, LABEL, Client, Server, docker

Start = Callable[..., Server]

KEEPER = """
import os
import sqlite3
from pathlib import Path
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("keeper")


@mcp.tool()
def places() -> list[str]:
    return [os.getcwd(), str(Path(__file__).parent), os.environ["EMCP_DATA"], os.environ["HOME"]]


@mcp.tool()
def write(path: str) -> str:
    Path(path).write_text("kept")
    return "written"


@mcp.tool()
def connect(path: str) -> str:
    sqlite3.connect(path).execute("create table if not exists kept (n)")
    return "connected"


if __name__ == "__main__":
    mcp.run()
"""


def started(start: Start, code: str = KEEPER) -> Server:
    server = start(code, EMCP_DATA="/dev/shm")
    server.ready()
    return server


def called(client: Client, server: Server, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    reply = client.run(server, "http", *(["call_tool", name, arguments] for name, arguments in calls))
    return ["\n".join(part["text"] for part in result["content"]) for result in reply["results"]]


def test_a_file_runs_in_its_storage_and_finds_itself_there(start: Start, client1: Client) -> None:
    server = started(start)
    places, written, found = called(
        client1, server, ("places", {}), ("write", {"path": "note.txt"}), ("connect", {"path": "kept.db"})
    )
    assert places.split("\n") == ["/dev/shm", "/dev/shm", "/dev/shm", "/tmp"]
    assert (written, found) == ("written", "connected")
    listed = docker("exec", server.container, "ls", "/dev/shm").split()
    assert {"note.txt", "kept.db", "server.py"} <= set(listed)


def test_errors_say_which_place_lasts(start: Start, client1: Client) -> None:
    server = started(start)
    outside, nowhere = called(client1, server, ("write", {"path": "/app/x"}), ("connect", {"path": "/no/such/x.db"}))
    for said in (outside, nowhere):
        assert "(/dev/shm), which lasts" in said and "/tmp, which ends with the container" in said


def test_a_full_place_is_told_by_its_name(start: Start, client1: Client) -> None:
    fill = """

@mcp.tool()
def fill(folder: str) -> str:
    with open(folder + "/big", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
"""
    server = started(start, KEEPER.replace('\n\nif __name__', fill + '\n\nif __name__'))
    (storage,) = called(client1, server, ("fill", {"folder": "/dev/shm"}))
    assert "/dev/shm is full: it holds 64 MiB" in storage
    docker("exec", server.container, "rm", "/dev/shm/big")
    (tmp,) = called(client1, server, ("fill", {"folder": "/tmp"}))
    assert "/tmp is full" in tmp and "/dev/shm has room, and lasts" in tmp


def test_without_storage_it_is_said_that_there_could_be_some(start: Start) -> None:
    event, _ = start("open('/var/log/mine.log', 'a')\n").failed()
    assert "storage gives the server one that lasts" in event["message"]


ENTER = """
import os, sys
sys.path.insert(0, "/opt/emcp")
from emcp_bootstrap import workplace
{before}
print(workplace.enter(), os.getcwd(), os.path.exists("/tmp/elsewhere"), os.path.islink("server.py"))
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("open('/dev/shm/server.py', 'w').write('old')", "/dev/shm/server.py /dev/shm False False"),
        ("os.symlink('/tmp/elsewhere', '/dev/shm/server.py')", "/dev/shm/server.py /dev/shm False False"),
        # Nothing that a server has written is removed: the code makes do with another place.
        ("os.makedirs('/dev/shm/server.py/mine')", "/tmp/server/server.py /dev/shm False False"),
    ],
    ids=["file", "link", "folder"],
)
def test_new_code_replaces_the_old_and_nothing_else(tmp_path: Path, before: str, said: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "server.py").write_text("new = True\n")
    (tmp_path / "server.py").chmod(0o644)
    printed = docker(
        "run", "--rm", "--label", LABEL, *HARDENING, "--env", "EMCP_DATA=/dev/shm",
        "--volume", f"{tmp_path}:/app/user_code:ro", IMAGE, "python3", "-I", "-c", ENTER.format(before=before),
    )  # fmt: skip
    assert printed == said
