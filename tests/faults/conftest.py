"""Fixtures of the fault tests. They drive the same real parts as the end-to-end tests, and share their drivers."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from daemon import remove_dead_daemons
from harness import FaultPlatform, unmount_leftovers
from support.leftovers import remove_leftovers
from support.reporting import (  # noqa: F401
    is_worker,
    pytest_report_header,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    tell,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long and heavy tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="only with --soak (make soak)"))


def pytest_sessionstart(session: pytest.Session) -> None:
    # Once for all workers.
    if is_worker(session.config):
        return
    removed = remove_dead_daemons()
    unmount_leftovers()
    removed += remove_leftovers()
    if removed:
        print(f"removed leftovers of killed runs: {', '.join(removed)}")


@pytest.fixture(scope="module")
def platform() -> Iterator[FaultPlatform]:
    """A platform for the tests of one file, which break it and wait until it has mended itself."""
    made = FaultPlatform()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def new_platform() -> Iterator[Callable[..., FaultPlatform]]:
    """Makes a platform with settings of its own, for one test. It is not started."""
    made: list[FaultPlatform] = []

    def make(**emcp_settings: str) -> FaultPlatform:
        made.append(FaultPlatform(holds_sockets=False, **emcp_settings))
        return made[-1]

    yield make
    for each in made:
        each.stop()
