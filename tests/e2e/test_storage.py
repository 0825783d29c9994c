"""`storage`: a disk of its own for a server, which outlives its containers and is nobody else's burden.

Real disks on real loop devices, as Docker Engine mounts them.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.api import Api
from support.docker import docker
from support.running import Platform
from support.waits import until

Json = dict[str, Any]
MIB = 1024 * 1024
SIZE = 32 * MIB

KEEPER = '''
import os
from pathlib import Path
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("keeper")
HERE = Path(__file__).parent


@mcp.tool()
def look() -> dict[str, object]:
    """What is there."""
    room = os.statvfs(os.environ["EMCP_DATA"])
    return {
        "cwd": os.getcwd(),
        "here": str(HERE),
        "files": sorted(path.name for path in Path("/data").iterdir()),
        "bytes": room.f_blocks * room.f_frsize,
        "inodes": room.f_files,
        "mount": next(line.split()[3] for line in open("/proc/mounts") if " /data " in line),
    }


@mcp.tool()
def fill() -> str:
    """All bytes, to the last block."""
    with open("big", "ab", buffering=0) as file:
        try:
            while file.write(bytes(1 << 20)):
                pass
        except OSError:
            # What was held back for writing it has come free by then.
            os.fsync(file)
        while file.write(bytes(1 << 12)):
            os.fsync(file)


@mcp.tool()
def flood() -> str:
    """All inodes."""
    os.makedirs("many", exist_ok=True)
    number = 0
    while True:
        open(f"many/{number}", "x").close()
        number += 1


@mcp.tool()
def empty() -> str:
    """Room again."""
    import shutil
    shutil.rmtree("many", ignore_errors=True)
    Path("big").unlink(missing_ok=True)
    return "done"


@mcp.tool()
def run_program() -> str:
    """Tries to run what it has written."""
    import subprocess
    Path("program").write_text("#!/bin/sh\\necho ran\\n")
    os.chmod("program", 0o755)
    return subprocess.run(["./program"], capture_output=True, text=True).stdout


if __name__ == "__main__":
    mcp.run()
'''


# Starts at once: what is tried with it takes many starts. Each call adds a row and answers with all.
LEDGER = '''
import json
import os
import sqlite3
import urllib.parse

VERSION = 1


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    with sqlite3.connect("kept.db") as database:
        database.execute("create table if not exists kept (text)")
        database.execute("insert into kept values (?)", (urllib.parse.unquote(scope["query_string"].decode()),))
        rows = [text for (text,) in database.execute("select text from kept")]
    room = os.statvfs("/data")
    found = {"version": VERSION, "rows": rows, "bytes": room.f_blocks * room.f_frsize, "files": sorted(os.listdir("/data"))}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
'''


def storage(size_bytes: int = SIZE) -> str:
    return f'{{"size_bytes": {size_bytes}}}'


@pytest.fixture(scope="module")
def shared(api: Api) -> Iterator[Api]:
    """The shared platform with the servers `keeper` and `ledger`, each with storage."""
    api.create("keeper", KEEPER, start="true", storage=storage())
    api.create("ledger", LEDGER, start="true", storage=storage(), entry_object="app")
    for name in ("keeper", "ledger"):
        api.wait_for(name, "running")
    yield api
    for name in ("keeper", "ledger"):
        api.delete(name)


def call(api: Api, server: str, tool: str, **arguments: Any) -> Any:
    answer = api.call("POST", f"/api/servers/{server}/tools/call", json={"name": tool, "arguments": arguments})
    assert not answer["is_error"], answer
    result = answer["structured_content"]
    return result.get("result", result) if isinstance(result, dict) else result


def error_of(api: Api, server: str, tool: str) -> str:
    answer = api.call("POST", f"/api/servers/{server}/tools/call", json={"name": tool, "arguments": {}})
    assert answer["is_error"], answer
    return str(answer["content"][0]["text"])


def write(api: Api, text: str) -> Json:
    """Adds a row to the ledger's database, once it answers; it answers with all rows."""

    def answered() -> Json | None:
        answer = api.request("GET", f"/api/ledger/?{text}")
        return answer.json() if answer.status_code == 200 else None

    return until("the ledger to answer", answered, 90)


def again(api: Api, server: str) -> Json:
    assert api.action(server, "restart", wait_secs=60)["status"] == "running"
    return api.server(server)


def test_a_server_runs_in_its_storage_and_cannot_run_what_it_writes_there(shared: Api) -> None:
    found = call(shared, "keeper", "look")
    assert (found["cwd"], found["here"]) == ("/data", "/data")
    assert found["files"] == ["server.py"]
    assert {"noexec", "nosuid", "nodev"} <= set(found["mount"].split(","))
    assert 0.7 * SIZE < found["bytes"] <= SIZE
    assert found["inodes"] <= 8192
    assert "Permission denied" in error_of(shared, "keeper", "run_program")


@pytest.mark.timeout(300)
def test_what_it_keeps_lasts_through_all_that_replaces_its_container(shared: Api) -> None:
    def upload(code: str) -> None:
        shared.call("PUT", "/api/servers/ledger/code", files={"file": ("server.py", code, "text/x-python")})

    def crash() -> None:
        docker("kill", shared.server("ledger")["container_id"])

    def stop_and_start() -> None:
        shared.action("ledger", "stop", wait_secs=60)
        shared.action("ledger", "start")

    replaced: dict[str, Callable[[], Any]] = {
        "restart": lambda: again(shared, "ledger"),
        "stop": stop_and_start,
        "update": lambda: upload(LEDGER.replace("VERSION = 1", "VERSION = 2")),
        "back": lambda: shared.call("POST", "/api/servers/ledger/versions/1/activate"),
        "moved": lambda: shared.call("PATCH", "/api/servers/ledger", json={"egress": "none"}),
        "crash": crash,
    }
    kept = {"first"}
    found = write(shared, "first")
    container = shared.server("ledger")["container_id"]
    for how, replace in replaced.items():
        replace()
        until(f"another container: {how}", lambda container=container: another(shared, container), 60)
        container = shared.server("ledger")["container_id"]
        found = write(shared, how)
        kept.add(how)
        assert kept <= set(found["rows"]), how
        # New code wins over the copy that the last start left.
        assert found["version"] == (2 if how == "update" else 1), how
    assert found["files"] == ["kept.db", "server.py"]


def another(api: Api, container: str) -> bool:
    found = api.server("ledger")
    return found["status"] == "running" and found["container_id"] != container


@pytest.mark.timeout(120)
def test_it_grows_with_the_next_start_and_never_shrinks(shared: Api) -> None:
    write(shared, "small")
    for wrong in (None, {"size_bytes": SIZE - 1}):
        answer = shared.request("PATCH", "/api/servers/ledger", json={"storage": wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "storage_shrinks")
    grown = shared.call("PATCH", "/api/servers/ledger", json={"storage": {"size_bytes": 3 * SIZE}})
    assert grown["storage"] == {"size_bytes": 3 * SIZE} and grown["restart_needed"] is True
    again(shared, "ledger")
    found = write(shared, "large")
    assert 2.4 * SIZE < found["bytes"] <= 3 * SIZE
    assert found["files"] == ["kept.db", "server.py"]
    assert {"small", "large"} <= set(found["rows"])


@pytest.mark.timeout(240)
def test_who_fills_it_fills_it_for_itself_alone(shared: Api, platform: Platform) -> None:
    write(shared, "before")
    room = free_bytes(platform)
    said = error_of(shared, "keeper", "fill")
    assert "No space left on device" in said and "/data is full" in said and "more storage" in said
    # Its room was set aside before: the host has as much as it had, but for what others write meanwhile.
    assert room - free_bytes(platform) < SIZE // 2
    assert {"before", "after"} <= set(write(shared, "after")["rows"])
    # It starts again, though there is no room for new code, so that it can be emptied.
    files = {"file": ("server.py", KEEPER + "\n# " + "x" * 200_000, "text/x-python")}
    shared.call("PUT", "/api/servers/keeper/code", files=files)

    def runs_anew() -> bool:
        found = shared.server("keeper")
        # Until the wish is taken up, the status is still that of the last one.
        return found["version"] == 2 and found["settled"] and found["status"] == "running"

    until("a start", runs_anew, 60)
    assert call(shared, "keeper", "look")["here"] == "/tmp/server"
    assert "it runs from /tmp/server" in shared.log("keeper")
    assert call(shared, "keeper", "empty") == "done"
    again(shared, "keeper")
    assert call(shared, "keeper", "look")["here"] == "/data"


@pytest.mark.timeout(180)
def test_a_flood_of_files_ends_at_the_bound_of_inodes(shared: Api) -> None:
    said = error_of(shared, "keeper", "flood")
    assert "No space left on device" in said and "files and folders" in said
    again(shared, "keeper")
    assert call(shared, "keeper", "empty") == "done"


@pytest.mark.timeout(180)
def test_it_goes_with_the_server_and_leaves_nothing_behind(api: Api, platform: Platform) -> None:
    api.create("short", LEDGER, start="true", storage=storage(), entry_object="app")
    found = api.wait_for("short", "running")
    disk = platform.data_dir / found["id"] / "storage" / "disk"
    assert disk.stat().st_size == SIZE and disk.stat().st_blocks * 512 >= SIZE
    inode = disk.stat().st_ino
    assert devices_of(inode) and volumes_of(found["container_id"])
    volumes = volumes_of(found["container_id"])
    api.delete("short")
    until("its files to go", lambda: not disk.parent.parent.exists(), 60)
    until("its device to go", lambda: not devices_of(inode), 30)
    assert not set(volumes) & set(docker("volume", "ls", "--quiet").split())
    assert not helpers(platform)


def test_a_disk_that_the_host_has_no_room_for_is_refused(api: Api) -> None:
    answer = api.request("POST", "/api/servers", json={"name": "huge", "code": KEEPER, "storage": {"size_bytes": 11 * 1024 * MIB}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "limit_above_maximum", "storage")
    assert "EMCP_MAX_STORAGE" in error["message"]
    for wrong in ({}, {"size_bytes": 1}, [SIZE], "32m", {"size_bytes": SIZE, "path": "/etc"}):
        answer = api.request("POST", "/api/servers", json={"name": "odd", "code": KEEPER, "storage": wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_storage"), wrong
    assert api.call("GET", "/api/servers")["total"] == len(api.servers())


@pytest.mark.timeout(120)
def test_it_counts_in_full_in_the_quota_of_whoever_creates(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(EMCP_QUOTA_STORAGE="64m", EMCP_MAX_STORAGE="1t")
    token = platform.api.call("POST", "/api/tokens", json={"name": "ada", "role": "developer"})["token"]
    ada = Api(platform.public_url, platform.ca_file, token)
    try:
        body = {"code": "x = 1", "start": False}
        ada.call("POST", "/api/servers", json={**body, "name": "one", "storage": {"size_bytes": 40 * MIB}})
        answer = ada.request("POST", "/api/servers", json={**body, "name": "two", "storage": {"size_bytes": 40 * MIB}})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (403, "quota_storage") and "EMCP_QUOTA_STORAGE" in error["message"]
        answer = ada.request("PATCH", "/api/servers/one", json={"storage": {"size_bytes": 70 * MIB}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "quota_storage")
        (me,) = ada.call("GET", "/api/usage")["people"]
        assert 40 * MIB <= me["stored_bytes"]["used"] < 41 * MIB
        # Nobody has a terabyte here, whoever asks.
        answer = platform.api.request("PATCH", "/api/servers/one", json={"storage": {"size_bytes": 2**40}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
        assert platform.api.server("one")["storage"] == {"size_bytes": 40 * MIB}
    finally:
        ada.close()


@pytest.mark.timeout(180)
def test_a_disk_that_is_none_is_told_and_not_written_over(api: Api, platform: Platform) -> None:
    api.create("spoilt", LEDGER, start="true", storage=storage(), entry_object="app")
    found = api.wait_for("spoilt", "running")
    try:
        api.action("spoilt", "stop", wait_secs=60)
        disk = platform.data_dir / found["id"] / "storage" / "disk"
        until("its device to go", lambda: not devices_of(disk.stat().st_ino), 30)
        with disk.open("r+b") as file:
            file.seek(1024)
            file.write(b"spoilt" * 200)
        api.action("spoilt", "start")
        failed = api.wait_for("spoilt", "error")
        assert failed["last_error"]["code"] == "storage_failed"
        assert "no file system" in failed["last_error"]["message"]
        assert b"spoilt" * 100 in disk.read_bytes()[:8192]
        assert not devices_of(disk.stat().st_ino)
    finally:
        api.delete("spoilt")


def free_bytes(platform: Platform) -> int:
    disk: Json = platform.api.call("GET", "/api/overview")["disk"]
    free: int = disk["free_bytes"]
    return free


def devices_of(inode: int) -> list[str]:
    """The loop devices of a file, by its inode."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-INO"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [name for name, found in rows if found == str(inode)]


def volumes_of(container: str) -> list[str]:
    names = docker("inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", container)
    return names.split()


def helpers(platform: Platform) -> list[str]:
    instance = platform.environment["EMCP_INSTANCE"]
    return docker("ps", "--all", "--quiet", "--filter", f"label=emcp.instance={instance}", "--filter", "label=emcp.helper=disk").split()
