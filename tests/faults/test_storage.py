"""What a server has stored outlives EMCP's ends, and comes back from a backup as of one moment."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import FaultPlatform, Json
from support.clients import bearer
from support.docker import docker
from support.waits import until

MIB = 1024 * 1024
KILLS = 3

# Adds rows for as long as it runs, one transaction each, and tells whether all it knows of are there.
WRITER = """
import hashlib
import json
import os
import sqlite3
import threading
import time


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def connect():
    return sqlite3.connect("kept.db", timeout=30, isolation_level=None)


def write():
    database = connect()
    database.execute("create table if not exists kept (number integer primary key, digest text)")
    number = database.execute("select coalesce(max(number), 0) from kept").fetchone()[0]
    while True:
        number += 1
        database.execute("insert into kept values (?, ?)", (number, digest(number)))
        time.sleep(0.002)


def look():
    database = connect()
    rows = database.execute("select number, digest from kept order by number").fetchall()
    good = rows == [(number, digest(number)) for number in range(1, len(rows) + 1)]
    return {"rows": len(rows), "good": good, "check": database.execute("pragma integrity_check").fetchone()[0]}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                threading.Thread(target=write, daemon=True).start()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"].endswith("/heavy"):
        with open("heavy", "wb") as file:
            for _ in range(96):
                file.write(os.urandom(1 << 20))
    body = json.dumps(look()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
"""


def create(platform: FaultPlatform, name: str, size_bytes: int, start: bool = True) -> Json:
    body = {"name": name, "code": WRITER, "entry_object": "app", "storage": {"size_bytes": size_bytes}, "start": start}
    made: Json = platform.api.call("POST", "/api/servers", json=body)
    return made


def look(platform: FaultPlatform, name: str, path: str = "") -> int:
    """How many rows there are, all of them good."""

    def answered() -> Json | None:
        answer = platform.api.request("GET", f"/api/{name}/{path}", headers=bearer(platform.admin_token))
        return answer.json() if answer.status_code == 200 else None

    found = until(f"{name} to answer", answered, 90)
    assert found["good"] and found["check"] == "ok", found
    rows: int = found["rows"]
    return rows


def grows(platform: FaultPlatform, name: str) -> int:
    before = look(platform, name)
    until(f"{name} to go on writing", lambda: look(platform, name) > before, 60)
    return before


def is_paused(platform: FaultPlatform, name: str) -> bool:
    found = docker("ps", "--quiet", "--filter", f"label=emcp.name={name}", "--filter", f"label=emcp.instance={platform.instance}", "--filter", "status=paused")
    return found != ""


def devices_of(disk: Path) -> list[str]:
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-INO"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [name for name, inode in rows if inode == str(disk.stat().st_ino)]


@pytest.fixture(scope="module")
def writer(platform: FaultPlatform) -> str:
    create(platform, "writer", 160 * MIB)
    platform.api.wait_for("writer", "running")
    grows(platform, "writer")
    return "writer"


def test_what_is_stored_comes_back_from_a_backup_made_while_it_is_written(
    platform: FaultPlatform, writer: str, new_platform: Callable[..., FaultPlatform], tmp_path: Path
) -> None:
    create(platform, "rests", 32 * MIB)
    platform.api.wait_for("rests", "running")
    grows(platform, "rests")
    platform.api.action("rests", "stop", wait_secs=60)
    create(platform, "never", 32 * MIB, start=False)
    before = grows(platform, writer)
    done = platform.run_emcp("backup", str(tmp_path / "full.tar"), "--with-keys")
    assert done.returncode == 0, done.stdout
    # It goes on, and nobody waits for a look of EMCP's own to find it frozen.
    assert not is_paused(platform, writer)
    grows(platform, writer)
    # What is empty of 224 MiB is not in it.
    assert (tmp_path / "full.tar").stat().st_size < 64 * MIB

    empty = new_platform()
    empty.prepare()
    done = empty.run_emcp("restore", str(tmp_path / "full.tar"))
    assert done.returncode == 0, done.stdout
    checked = empty.check()
    assert checked.returncode == 0, checked.stdout
    empty.start()
    empty.api.wait_for(writer, "running")
    assert look(empty, writer) >= before
    grows(empty, writer)
    for name in ("rests", "never"):
        assert empty.api.action(name, "start", wait_secs=90)["status"] == "running"
        grows(empty, name)


def test_ends_of_emcp_lose_nothing_and_leave_one_device(platform: FaultPlatform, writer: str) -> None:
    before = grows(platform, writer)
    found = platform.api.server(writer)
    for _ in range(KILLS):
        platform.api.action(writer, "restart")
        until("a start to be under way", lambda: platform.api.server(writer)["status"] in ("building", "starting"), 30)
        platform.kill_emcp()
        platform.start_emcp()
        platform.wait_ready()
        platform.api.wait_for(writer, "running")
        after = look(platform, writer)
        assert after >= before
        before = after
    grows(platform, writer)
    assert len(devices_of(platform.data_dir / found["id"] / "storage" / "disk")) == 1
    platform.assert_sound()


def test_an_end_of_emcp_in_the_middle_of_a_copy_leaves_nobody_frozen(
    platform: FaultPlatform, writer: str, tmp_path: Path
) -> None:
    look(platform, writer, "heavy")
    backup = threading.Thread(target=platform.run_emcp, args=("backup", str(tmp_path / "cut.tar")))
    backup.start()
    try:
        until("its disk to be copied", lambda: is_paused(platform, writer), 60)
        platform.kill_emcp()
    finally:
        backup.join()
    platform.start_emcp()
    platform.wait_ready()
    until("it to go on", lambda: not is_paused(platform, writer), 60)
    grows(platform, writer)
    # And the next backup is one.
    done = platform.run_emcp("backup", str(tmp_path / "whole.tar"))
    assert done.returncode == 0, done.stdout
    grows(platform, writer)
