"""Capacity: how size and time grow from 10 to 100 to 1,000 registered servers. Run by `make soak`.

All servers are stopped ones: registering is what is measured. Figures depend on the machine; the growth
from one row to the next is what to look at. Nothing is asserted.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "faults")]

import httpx  # noqa: E402
from harness import FaultPlatform  # noqa: E402
from support.api import TRUSTS_NOBODY  # noqa: E402
from support.docker import DockerError, docker  # noqa: E402

CODE = "async def app(scope, receive, send): ..."
ROUNDS = 15
IDLE_SECS = 10
POLL_SECS = 0.002
START_DEADLINE_SECS = 60
# Room for 3,839 servers; a /24, as tests use it, holds 239.
PREFIX_LENGTH = 20
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Row:
    """What was measured with so many servers."""

    servers: int
    create_ms: float
    list_ms: float
    list_bytes: int
    overview_ms: float
    config_ms: float
    config_bytes: int
    start_up_ms: float
    idle_cpu_percent: float
    memory_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, nargs="+", default=[10, 100, 1000])
    counts = sorted(parser.parse_args().servers)
    platform = FaultPlatform()
    network = f"{platform.instance}-wide"
    platform = wide(platform, network)
    try:
        platform.start()
        rows: list[Row] = []
        for count in counts:
            rows.append(measure(platform, count))
            print(f"measured with {count} servers", file=sys.stderr, flush=True)
        print_table(rows)
    finally:
        platform.stop()
        docker("network", "rm", network, f"{network}-internal")


def wide(platform: FaultPlatform, network: str) -> FaultPlatform:
    """The platform with a network that has room for thousands of servers."""
    for _ in range(20):
        # In the lower half, since EMCP makes the network without egress in the upper one.
        base = f"198.{random.choice((18, 19))}.{random.randrange(8) * 16}.0"
        ranges = ["--subnet", f"{base}/{PREFIX_LENGTH}", "--ip-range", f"{base}/{PREFIX_LENGTH + 4}"]
        try:
            docker("network", "create", *ranges, "--label", f"emcp.instance={platform.instance}", network)
        except DockerError as error:
            if "overlap" not in str(error):
                raise
            continue
        platform.with_settings(EMCP_NETWORK=network, EMCP_SUBNET=f"{base}/{PREFIX_LENGTH}", EMCP_INTERNAL_SUBNET="")
        return platform
    raise RuntimeError("no free subnet for the measurement")


def measure(platform: FaultPlatform, count: int) -> Row:
    create_ms = fill(platform, count)
    provider = {"Authorization": f"Bearer {(platform.data_dir / 'provider-token').read_text().strip()}"}
    with platform.direct(timeout_secs=60) as http:
        list_ms, list_bytes = timed(lambda: http.get("/api/servers"))
        overview_ms, _ = timed(lambda: http.get("/api/overview"))

    def config() -> httpx.Response:
        # On a new connection the poll is answered at once instead of being held; making it is part of the time.
        return httpx.get(
            f"{platform.internal_url}/traefik/config", headers=provider, verify=TRUSTS_NOBODY, trust_env=False
        )

    config_ms, config_bytes = timed(config)
    assert platform.terminate_emcp() == 0
    start_up_ms = started(platform)
    platform.wait_ready()
    idle_cpu, memory = idle(platform.emcp_pid)
    return Row(
        servers=count,
        create_ms=create_ms,
        list_ms=list_ms,
        list_bytes=list_bytes,
        overview_ms=overview_ms,
        config_ms=config_ms,
        config_bytes=config_bytes,
        start_up_ms=start_up_ms,
        idle_cpu_percent=idle_cpu,
        memory_mib=memory,
    )


def fill(platform: FaultPlatform, count: int) -> float:
    """Create servers until there are so many; the median time of one creation."""
    with platform.direct(timeout_secs=60) as http:
        present: int = http.get("/api/servers").json()["total"]

        def create(number: int) -> float:
            body = {"name": f"server-{number}", "entry_object": "app", "code": CODE, "start": False}
            response = http.post("/api/servers", json=body)
            assert response.is_success, response.text
            return response.elapsed.total_seconds() * 1000

        with ThreadPoolExecutor(2) as pool:
            return statistics.median(pool.map(create, range(present, count)))


def timed(call: Callable[[], httpx.Response]) -> tuple[float, int]:
    """Median time in ms of a call, and the size of its answer in bytes."""
    spans: list[float] = []
    size = 0
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        response = call()
        spans.append((time.perf_counter() - begin) * 1000)
        assert response.is_success, response.text
        size = len(response.content)
    return statistics.median(spans), size


def started(platform: FaultPlatform) -> float:
    """From the start of the process to the first answer of its API, in ms."""
    begin = time.perf_counter()
    process = platform.spawn_emcp()
    while process.poll() is None:
        try:
            with platform.direct() as http:
                if http.get("/api/overview").is_success:
                    return (time.perf_counter() - begin) * 1000
        except httpx.TransportError:
            time.sleep(POLL_SECS)  # Between two looks; its length is the error of the measurement.
        if time.perf_counter() - begin > START_DEADLINE_SECS:
            raise TimeoutError(f"emcp does not answer after {START_DEADLINE_SECS} s; see {platform.emcp_log}")
    raise RuntimeError(f"emcp ended with {process.returncode}; see {platform.emcp_log}")


def idle(pid: int) -> tuple[float, float]:
    """CPU in percent of one core over a time in which nobody asks for anything but Traefik, and memory in MiB."""
    before = cpu_secs(pid)
    time.sleep(IDLE_SECS)  # Time itself is what is measured here.
    used = cpu_secs(pid) - before
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return used / IDLE_SECS * 100, pages * PAGE_BYTES / 1024 / 1024


def cpu_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def print_table(rows: list[Row]) -> None:
    lines: list[tuple[str, Callable[[Row], str]]] = [
        ("one create, ms", lambda row: f"{row.create_ms:.1f}"),
        ("GET /api/servers, ms", lambda row: f"{row.list_ms:.1f}"),
        ("GET /api/servers, KiB", lambda row: f"{row.list_bytes / 1024:.0f}"),
        ("GET /api/overview, ms", lambda row: f"{row.overview_ms:.1f}"),
        ("GET /traefik/config, ms", lambda row: f"{row.config_ms:.1f}"),
        ("GET /traefik/config, KiB", lambda row: f"{row.config_bytes / 1024:.0f}"),
        ("start to first answer, ms", lambda row: f"{row.start_up_ms:.0f}"),
        ("idle CPU, % of a core", lambda row: f"{row.idle_cpu_percent:.1f}"),
        ("memory when idle, MiB", lambda row: f"{row.memory_mib:.0f}"),
    ]
    build = subprocess.run(["uname", "-srm"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"\nRegistered servers, all stopped; medians of {ROUNDS} ({os.cpu_count()} cores, {build}):\n")
    print(f"| {'':<26} |" + "".join(f" {row.servers:>8} |" for row in rows))
    print(f"| {'-' * 26} |" + "".join(f" {'-' * 7}: |" for _ in rows))
    for words, cell in lines:
        print(f"| {words:<26} |" + "".join(f" {cell(row):>8} |" for row in rows))


if __name__ == "__main__":
    main()
