"""Fixtures of the scripts' tests, which share the drivers of the end-to-end tests and of the fault tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / other) for other in ("e2e", "faults")]

from daemon import remove_dead_daemons
from installation import Installation, remove_dead_images
from support.leftovers import remove_leftovers
from support.reporting import is_worker, pytest_report_header  # noqa: F401


def pytest_sessionstart(session: pytest.Session) -> None:
    # Once for all workers.
    if is_worker(session.config):
        return
    removed = remove_dead_daemons() + remove_leftovers() + remove_dead_images()
    if removed:
        print(f"removed leftovers of killed runs: {', '.join(removed)}")


@pytest.fixture(scope="module")
def new_installation() -> Iterator[Callable[..., Installation]]:
    """Makes an installation with settings of its own. Nothing runs yet."""
    made: list[Installation] = []

    def make(**settings: str) -> Installation:
        made.append(Installation(**settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()
