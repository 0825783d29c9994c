"""Fixtures of the tests with client programs. They drive the end-to-end tests' platform."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

E2E = Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E))

from support.leftovers import remove_leftovers
from support.reporting import pytest_report_header, pytest_runtest_makereport  # noqa: F401
from support.running import Platform

SERVERS = {"fixture-v1": "fixture_v1.py", "fixture-v2": "fixture_v2.py"}


def pytest_sessionstart() -> None:
    removed = remove_leftovers()
    if removed:
        print(f"removed leftovers of killed runs: {', '.join(removed)}")


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform with a server of each SDK generation, running."""
    made = Platform()
    try:
        made.start()
        for name, file in SERVERS.items():
            made.api.create(name, E2E / "servers" / file, start="true")
        for name in SERVERS:
            made.api.wait_for(name, "running")
        yield made
    finally:
        made.stop()
