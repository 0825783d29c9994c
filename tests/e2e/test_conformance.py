"""The official MCP conformance suite: a server loses nothing by being served through EMCP.

Two versions of the suite are run against the *everything-server* of each generation of the SDK, as its source
distribution has it: directly, in a container of the base image without EMCP, and uploaded and called through
Traefik. The suite can send no token, so a port adds one on the way (`support/with_token.py`); the gate is as always.
The table is in docs/conformance.md; EMCP_WRITE_CONFORMANCE=1 writes it anew.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from support import settings
from support.api import TRUSTS_NOBODY
from support.conformance import RACED, Results, Suite, lost, passes
from support.docker import docker, inspect, remove_containers
from support.network import free_ports
from support.owner import new_name
from support.running import Platform
from support.toolchains import source_distribution
from support.waits import until
from support.with_token import Port

PAGE = settings.REPO_DIR / "docs" / "conformance.md"
TABLE_BEGINS = "<!-- the table -->"
BARE_START_DEADLINE_SECS = 60.0
LEAST_PASSED = 20

OLDER = Suite("older", "older", 20, ("--suite", "all"))
NEWEST_2025 = Suite("newest, 2025-11-25", "newest", 22, ("--requirements", "2025-11-25"))
NEWEST_2026 = Suite("newest, 2026-07-28", "newest", 22, ("--requirements", "2026-07-28"))


@dataclass(frozen=True)
class Everything:
    """The server of one generation of the SDK that answers whatever the suite asks."""

    name: str
    version: str
    environment: str

    def file(self) -> Path:
        folder = source_distribution("mcp", self.version) / "examples" / "servers" / "everything-server"
        # The package around it holds nothing but a call of its main().
        return folder / "mcp_everything_server" / "server.py"


V1 = Everything("everything-v1", "1.30.0", "mcp1")
V2 = Everything("everything-v2", "2.3.0", "mcp2")
SERVERS = (V1, V2)
# The first generation does not speak the revision of 2026.
RUNS = [(V1, OLDER), (V1, NEWEST_2025), (V2, OLDER), (V2, NEWEST_2025), (V2, NEWEST_2026)]


@dataclass(frozen=True)
class Comparison:
    """One run of the suite, both ways."""

    server: Everything
    suite: Suite
    directly: Results
    through: Results


@pytest.fixture(scope="module")
def comparisons(
    new_platform: Callable[..., Platform], tmp_path_factory: pytest.TempPathFactory
) -> list[Comparison]:
    commands = {suite: suite.prepare() for _, suite in RUNS}
    port = Port()
    try:
        # Of the suite's requests with an Origin, one comes from a page of this one, and one from a stranger's.
        platform = new_platform(EMCP_ALLOWED_ORIGINS=port.origin)
        port.start(platform.public_url, tls=platform.api.tls, token=platform.admin_token)
        for server in SERVERS:
            platform.api.create(server.name, server.file(), start="true")

        def compare(server: Everything) -> list[Comparison]:
            """One after the other, as the suite is meant to be run; another server's are run meanwhile."""
            platform.api.wait_for(server.name, "running")
            compared: list[Comparison] = []
            with bare(server) as direct_url:
                for suite in (suite for owner, suite in RUNS if owner == server):
                    found = [
                        suite.run(commands[suite], f"{base}/mcp", tmp_path_factory.mktemp("conformance"))
                        for base in (direct_url, f"{port.origin}/api/{server.name}")
                    ]
                    compared.append(Comparison(server, suite, *found))
            return compared

        with ThreadPoolExecutor(len(SERVERS)) as pool:
            compared = [one for of_server in pool.map(compare, SERVERS) for one in of_server]
    finally:
        port.close()
    return compared


@contextmanager
def bare(server: Everything) -> Iterator[str]:
    """The same file, run by the same Python with the same packages as in EMCP, and nothing around it."""
    (own,) = free_ports(1)
    label = f"emcp.instance={new_name()}"
    mount = f"{server.file()}:/app/user_code/server.py:ro"
    python = f"/opt/emcp/{server.environment}/bin/python"
    container = docker(
        "run", "--detach", "--network=host", "--label", label, "--volume", mount, "--entrypoint", python,
        settings.base_image(), "/app/user_code/server.py", "--port", str(own), "--log-level", "WARNING",
    )  # fmt: skip
    # The same as before EMCP, without a token, so that nothing but EMCP is between the two ways.
    port = Port()
    try:
        url = f"http://127.0.0.1:{own}"
        until(f"{server.name} to listen without EMCP", lambda: _listens(container, url), BARE_START_DEADLINE_SECS)
        port.start(url)
        yield port.origin
    finally:
        port.close()
        remove_containers([container])


def _listens(container: str, url: str) -> bool:
    if not inspect(container)["State"]["Running"]:
        raise AssertionError(docker("logs", container))
    try:
        return httpx.get(url, timeout=5, trust_env=False, verify=TRUSTS_NOBODY).status_code == 404
    except httpx.TransportError:
        return False


def table(comparisons: list[Comparison]) -> str:
    """A row for each scenario, a column for each run: whether it passes directly, and through EMCP."""
    words = {True: "passes", False: "fails"}
    heads = [f"{one.server.name}, suite {one.suite.name}" for one in comparisons]
    rows = [["scenario", *heads], ["---"] * (len(heads) + 1)]
    for scenario in sorted({name for one in comparisons for name in one.directly | one.through}):
        cells: list[str] = []
        for one in comparisons:
            both = [words[passes(way[scenario])] if scenario in way else "" for way in (one.directly, one.through)]
            cells.append(both[0] if both[0] == both[1] else f"{both[0]} / **{both[1]}**")
        rows.append([f"`{scenario}`", *cells])
    counts = [
        f"{sum(map(passes, one.directly.values()))} / {sum(map(passes, one.through.values()))} of {len(one.directly)}"
        for one in comparisons
    ]
    rows.append(["pass directly / through EMCP", *counts])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0].name}, {run[1].name}")
@pytest.mark.timeout(600)
def test_nothing_that_holds_directly_is_lost_through_emcp(
    comparisons: list[Comparison], run: tuple[Everything, Suite]
) -> None:
    (one,) = [one for one in comparisons if (one.server, one.suite) == run]
    assert sum(map(passes, one.directly.values())) >= LEAST_PASSED, "the suite itself does not work here"
    assert lost(one.directly, one.through) == []


@pytest.mark.timeout(600)
def test_a_stream_that_the_server_ends_is_taken_up_again(comparisons: list[Comparison]) -> None:
    """It takes the file's own `event_store` and `retry_interval`, which stand in its call of run()."""
    polled = [one for one in comparisons if "server-sse-polling" in one.directly]
    assert len(polled) == 4
    resumed: list[str] = []
    for one in polled:
        checks = one.through["server-sse-polling"]
        assert passes(checks), checks
        # The older suite does not say which revision it speaks, so no server polls with it; both ways alike.
        if one.suite == NEWEST_2025:
            assert {checks["server-sse-priming-event"], checks["server-sse-retry-field"]} == {"SUCCESS"}, checks
            resumed.append(checks[RACED])
    assert "SUCCESS" in resumed


@pytest.mark.timeout(600)
def test_the_page_tells_what_was_measured(comparisons: list[Comparison], tell: Callable[[str], None]) -> None:
    tell(table(comparisons))
    before, mark, _ = PAGE.read_text().partition(TABLE_BEGINS)
    assert mark, f"{PAGE} has no place for the table"
    page = f"{before}{mark}\n\n{table(comparisons)}\n"
    if os.environ.get("EMCP_WRITE_CONFORMANCE") == "1":
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "look at the difference; EMCP_WRITE_CONFORMANCE=1 writes the table anew"
    for version in (V1.version, V2.version, OLDER.version, NEWEST_2025.version):
        assert f"`{version}`" in before, f"the page names another version than {version}"
