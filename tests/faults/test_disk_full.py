"""The data directory's disk is full: calls say so, what runs goes on, and all is well once there is room again."""

import errno
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import SETTLE_DEADLINE_SECS, FaultPlatform, Json
from support.owner import new_name
from support.tiny import tiny_server
from support.waits import until

DISK_BYTES = 24 * 1024 * 1024
MIN_FREE_BYTES = 4 * 1024 * 1024
FULL_BELOW_BYTES = 1024 * 1024
RECOVERY_DEADLINE_SECS = 60.0
# Larger than what is left of a page or two that the file system may still have.
LARGE = "#" * 200_000


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a small file system must be mounted")
    # The name tells later runs whose mount this is, should this run be killed.
    target = Path(tempfile.gettempdir()) / f"{new_name()}-disk"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "emcp-test", str(target)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        target.rmdir()
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    yield target
    subprocess.run(["umount", "--lazy", str(target)], check=True)
    target.rmdir()


@pytest.fixture(scope="module")
def platform(disk: Path) -> Iterator[FaultPlatform]:
    """A platform whose data directory is on the small disk, with one running server."""
    made = FaultPlatform(EMCP_MIN_FREE_BYTES=str(MIN_FREE_BYTES))
    made.data_dir = disk / "data"
    try:
        made.start()
        made.api.create("runs", tiny_server("runs"), entry_object="app", start="true")
        made.api.create("rests", tiny_server("rests"), entry_object="app")
        made.api.wait_for("runs", "running")
        yield made
    finally:
        made.stop()


@pytest.fixture
def full_disk(disk: Path, platform: FaultPlatform) -> Iterator[Callable[[], None]]:
    """The disk without a free byte; call it to give the space back."""
    ballast = disk / "ballast"

    def free() -> None:
        ballast.unlink(missing_ok=True)

    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    yield free
    free()


def test_every_write_says_that_the_disk_is_full(platform: FaultPlatform, full_disk: Callable[[], None]) -> None:
    before = _snapshot(platform)
    with platform.direct() as http:
        name = f"new-{secrets.token_hex(2)}"
        answers = {
            "create": http.post("/api/servers", json={"name": name, "code": "app = None", "start": False}),
            "large create": http.post("/api/servers", json={"name": f"{name}-l", "code": LARGE, "start": False}),
            "upload": http.put("/api/servers/rests/code", json={"code": f"app = None\n{LARGE}"}),
            "large environment": http.put(
                "/api/servers/rests/env",
                json={"env": [{"key": f"K{n}", "value": "v" * 30_000, "is_secret": True} for n in range(100)]},
            ),
        }
    for what, answer in answers.items():
        assert answer.status_code == 503, f"{what}: {answer.status_code} {answer.text}"
        assert answer.json()["error"]["code"] == "disk_full", f"{what}: {answer.text}"
    metrics = httpx.get(f"{platform.internal_url}/metrics", trust_env=False).text
    failed = 'emcp_store_commit_duration_seconds_count{outcome="failed"} '
    assert any(line.startswith(failed) for line in metrics.splitlines())
    # None of it is there, not even half.
    assert _snapshot(platform) == before
    until("what was refused to go", lambda: _nothing_is_left(platform), SETTLE_DEADLINE_SECS)


CHATTY = """
import threading, time

def talk():
    number = 0
    while True:
        print("line", number, "x" * 200, flush=True)
        number += 1
        time.sleep(0.01)

threading.Thread(target=talk, daemon=True).start()
"""


def test_a_full_disk_is_told_once_and_its_end_once(platform: FaultPlatform, disk: Path) -> None:
    """A hundred lines of output a second, a status and audit lines that cannot be kept: one line of the log each."""
    until("no notice of the disk", lambda: not _disk_notices(platform), RECOVERY_DEADLINE_SECS)
    platform.api.create("talks", CHATTY + tiny_server("talks"), entry_object="app", start="true")
    platform.api.wait_for("talks", "running")
    ballast = disk / "ballast"
    try:
        _write_until_full(ballast, leaving=MIN_FREE_BYTES // 2)
        low = until("a notice that the disk is low", lambda: _disk_notices(platform).get("disk_low"), 30)
        assert FULL_BELOW_BYTES < low["args"]["free_bytes"] < low["args"]["min_free_bytes"] == MIN_FREE_BYTES
        said_before = platform.emcp_log.stat().st_size
        _write_until_full(ballast)
        full = until("a notice that the disk is full", lambda: _disk_notices(platform).get("disk_full"), 30)
        assert full["args"]["free_bytes"] < FULL_BELOW_BYTES

        def tells_of_output() -> bool:
            return _told(platform, said_before, "output cannot be kept").count("ERROR") == 1

        until("the log to tell of output that is lost", tells_of_output, RECOVERY_DEADLINE_SECS)
        # A few hundred more lines.
        lines = len(platform.api.log("talks", tail="5000").splitlines())
        until("more output", lambda: len(platform.api.log("talks", tail="5000").splitlines()) > lines + 300, 60)
        with platform.direct() as http:
            notices = http.get("/api/overview").json()["notices"]
        assert [notice["code"] for notice in notices] == ["disk_full"]
        metrics = httpx.get(f"{platform.internal_url}/metrics", trust_env=False).text
        free = next(line for line in metrics.splitlines() if line.startswith("emcp_data_dir_free_bytes"))
        assert int(free.split()[1]) < FULL_BELOW_BYTES
    finally:
        ballast.unlink(missing_ok=True)
    until("the end to be told", lambda: "this is over" in _told(platform, said_before, "output cannot"), 60)
    until("no notice of the disk", lambda: not _disk_notices(platform), RECOVERY_DEADLINE_SECS)
    troubles = [line for line in _told(platform, said_before).splitlines() if " WARN " in line or " ERROR " in line]
    assert len(troubles) <= 6, troubles
    platform.api.delete("talks")


def test_running_servers_and_reads_go_on(platform: FaultPlatform, full_disk: Callable[[], None]) -> None:
    _fill_the_database(platform)
    with platform.direct() as http:
        assert http.get("/api/overview").is_success
        assert http.get("/api/servers/rests/code").text == tiny_server("rests")
        assert http.get("/api/servers/runs").json()["status"] == "running"
    answer = platform.api.request("GET", "/api/runs/")
    assert (answer.status_code, answer.text) == (200, "runs")


def test_when_there_is_room_again_everything_works_without_a_restart(
    platform: FaultPlatform, full_disk: Callable[[], None]
) -> None:
    _fill_the_database(platform)
    pid = platform.emcp_pid
    full_disk()

    def can_create() -> bool:
        with platform.direct() as http:
            name = f"again-{secrets.token_hex(2)}"
            answer = http.post("/api/servers", json={"name": name, "code": "app = None", "start": False})
            return answer.status_code == 201

    until("creating to work again", can_create, RECOVERY_DEADLINE_SECS)
    assert platform.is_alive()
    assert platform.emcp_pid == pid
    platform.api.action("rests", "start", wait_secs=30)
    platform.api.wait_for("rests", "running")
    platform.api.action("rests", "stop", wait_secs=30)
    platform.wait_settled()
    platform.assert_sound()


def test_emcp_dies_and_comes_back_on_a_full_disk(platform: FaultPlatform, full_disk: Callable[[], None]) -> None:
    """It may refuse to start while there is no room, saying so; it must not damage anything."""
    _fill_the_database(platform)
    before = _snapshot(platform)
    platform.kill_emcp()
    tried = platform.check()
    full_disk()
    assert tried.returncode == 0 or "full" in tried.stdout or "space" in tried.stdout, tried.stdout
    platform.start_emcp()
    platform.wait_ready()
    platform.wait_settled()
    assert _snapshot(platform) == before
    platform.assert_sound()


def _write_until_full(path: Path, leaving: int = 0) -> None:
    with path.open("ab", buffering=0) as file:
        try:
            while leaving == 0 or _free_bytes(path) > leaving:
                file.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def _disk_notices(platform: FaultPlatform) -> dict[str, Json]:
    answer = httpx.get(f"{platform.internal_url}/readyz", timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    return {each["code"]: each for each in answer.json()["notices"]}


def _told(platform: FaultPlatform, since: int, what: str = "") -> str:
    lines = platform.emcp_log.read_bytes()[since:].decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if what in line)


def _fill_the_database(platform: FaultPlatform) -> None:
    """Write until the database itself needs room that is not there."""
    with platform.direct() as http:
        for number in range(50):
            env: list[Json] = [{"key": f"K{n}", "value": f"{number}" * 15_000, "is_secret": True} for n in range(50)]
            answer = http.put("/api/servers/rests/env", json={"env": env})
            if not answer.is_success:
                assert answer.status_code == 503, answer.text
                assert answer.json()["error"]["code"] == "disk_full", answer.text
                return
    pytest.fail("the database took everything: the disk is not full")


def _snapshot(platform: FaultPlatform) -> dict[str, tuple[Json, ...]]:
    """What EMCP knows of all servers."""
    with platform.direct() as http:
        return {server["name"]: _details(http, server) for server in http.get("/api/servers").json()["servers"]}


def _details(http: httpx.Client, server: Json) -> tuple[Json, ...]:
    stable = {key: server[key] for key in ("id", "desired", "version", "description", "address")}
    path = f"/api/servers/{server['id']}"
    return stable, http.get(f"{path}/env").json(), http.get(f"{path}/versions").json()


def _nothing_is_left(platform: FaultPlatform) -> bool:
    with platform.direct() as http:
        servers: list[Json] = http.get("/api/servers").json()["servers"]
        known = {server["id"] for server in servers}
        return platform.server_folders() <= known and not platform.code_problems(http, servers)
