"""Servers that take all they can get. They must hurt nobody but themselves.

While one hogs, another is called through the gate. How much slower that is depends on the machine, so
it is printed (run with -s) and recorded, and only what must hold on any machine is asserted: every call
succeeds, the platform stays ready, and afterwards the states are true.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Json
from support.clients import bearer
from support.docker import docker, inspect
from support.running import Platform
from support.streams import HttpSession
from support.tiny import tiny_server
from support.waits import until

from conftest import SERVERS_DIR

KIB = 1024
MIB = 1024 * KIB
CALLS = 60
HOG_SECS = 4.0
# EMCP keeps 4 MiB of a server's output, the engine two files of 10 MB.
OWN_LOG_MAX_BYTES = 5 * MIB
ENGINE_LOG_MAX_BYTES = 22_000_000
BYSTANDER = tiny_server("here")


@pytest.fixture(scope="module")
def server(platform: Platform) -> Iterator[None]:
    platform.api.create("hog", SERVERS_DIR / "attacker.py", start="true", limits='{"memory_bytes":268435456}')
    yield
    platform.api.delete("hog")


@pytest.fixture
def hog(platform: Platform, server: None) -> Iterator[Json]:
    """The hog before it begins. It ends with a restart, which has to be possible whatever it has done."""
    yield platform.api.wait_for("hog", "running")
    platform.api.action("hog", "restart", wait_secs=60)
    platform.api.wait_for("hog", "running")


@pytest.fixture(scope="module")
def bystander(platform: Platform) -> Iterator[Callable[[], list[float]]]:
    """Calls the other server for a while, and tells how long each call took, in milliseconds."""
    platform.api.create("bystander", BYSTANDER, start="true", entry_object="app")
    platform.api.wait_for("bystander", "running")
    with httpx.Client(verify=platform.api.tls, headers=bearer(platform.admin_token), trust_env=False) as http:

        def call() -> list[float]:
            took = []
            started = time.monotonic()
            while len(took) < CALLS or time.monotonic() - started < HOG_SECS:
                begin = time.monotonic()
                answer = http.get(f"{platform.public_url}/api/bystander/", timeout=20)
                took.append((time.monotonic() - begin) * 1000)
                assert answer.text == "here", f"{answer.status_code} {answer.text[:200]}"
            return took

        yield call
    platform.api.delete("bystander")


def tool(platform: Platform, name: str, **arguments: object) -> object:
    with HttpSession(platform.api, "hog", bearer(platform.admin_token)) as session:
        return json.loads(session.call_tool(name, arguments))


def is_ready(platform: Platform) -> bool:
    return httpx.get(f"{platform.internal_url}/readyz", verify=TRUSTS_NOBODY, trust_env=False).is_success


def compared(
    record: Callable[[str, object], None], kind: str, before: list[float], during: list[float]
) -> None:
    worst = sorted(during)[int(len(during) * 0.95)]
    ratio = median(during) / median(before)
    text = f"median {median(before):.1f} -> {median(during):.1f} ms (x {ratio:.1f}), 95 % within {worst:.1f} ms"
    record(f"gate latency beside a {kind} hog", text)
    print(f"\nbeside a {kind} hog: {text}, {len(during)} calls")


def processes(container: str) -> int:
    """Processes and threads, which is what the limit counts."""
    return len(docker("top", container, "-eLo", "pid").splitlines()) - 1


@pytest.mark.parametrize("kind", ["forks", "cpu", "logs"])
def test_a_hog_hurts_only_itself(
    platform: Platform,
    hog: Json,
    bystander: Callable[[], list[float]],
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    api = platform.api
    before = bystander()
    assert tool(platform, "hog", kind=kind) == "begun"
    container = platform.container_of("hog")
    if kind == "forks":
        # Full to the last process, and not one more.
        until("the container to be full", lambda: processes(container) >= 127, 60)
    compared(record_property, kind, before, bystander())
    assert processes(container) <= 128
    assert is_ready(platform)
    if kind == "logs":
        check_logs(platform, container)
    # EMCP gives up on no server that still has its container.
    assert api.server("hog")["status"] == "running"


def check_logs(platform: Platform, container: str) -> None:
    own = platform.data_dir / platform.api.server("hog")["id"] / "logs"
    assert size(own) <= OWN_LOG_MAX_BYTES
    engines = Path(inspect(container)["LogPath"]).parent
    try:
        written = sum(file.stat().st_size for file in engines.glob("*-json.log*"))
    except PermissionError:
        return  # The engine's files are root's.
    assert written <= ENGINE_LOG_MAX_BYTES
    assert "flood" in platform.api.log("hog", tail="5")


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def test_a_memory_hog_ends_and_says_why(
    platform: Platform,
    hog: Json,
    bystander: Callable[[], list[float]],
    record_property: Callable[[str, object], None],
) -> None:
    before = bystander()
    assert tool(platform, "hog", kind="memory") == "begun"
    during = bystander()

    def told() -> Json | None:
        error = platform.api.server("hog")["last_error"]
        return error if error and error["code"] == "out_of_memory" else None

    until("the server to have run out of memory", told, 60)
    compared(record_property, "memory", before, during)
    assert is_ready(platform)
    # It is tried again after a moment in which its state is, truly, an error.
    until("the server to run again", lambda: platform.api.server("hog")["status"] == "running", 60)


@pytest.mark.parametrize("directory", ["/tmp", "/dev/shm"])
def test_a_disk_filler_meets_the_end_of_its_own_memory(
    platform: Platform,
    hog: Json,
    bystander: Callable[[], list[float]],
    directory: str,
    record_property: Callable[[str, object], None],
) -> None:
    before = bystander()
    with ThreadPoolExecutor(1) as filler:
        filling = filler.submit(fill_again_and_again, platform, directory)
        during = bystander()
        for written, error in filling.result():
            # In /tmp there is also the copy of the file that runs.
            copy = 64 * KIB if directory == "/tmp" else 0
            assert written in range(64 * MIB - copy, 64 * MIB + 1)
            assert error == "ENOSPC"
    compared(record_property, directory, before, during)
    assert is_ready(platform)
    assert platform.api.server("hog")["status"] == "running"


def fill_again_and_again(platform: Platform, directory: str) -> list[list[object]]:
    """For as long as the other server is called, at least."""
    fills, started = [], time.monotonic()
    while not fills or time.monotonic() - started < HOG_SECS:
        fills.append(tool(platform, "fill", directory=directory))
    return fills  # type: ignore[return-value]
