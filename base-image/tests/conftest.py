from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import containers  # noqa: E402


def pytest_sessionstart(session: pytest.Session) -> None:
    # Once for all workers; an earlier run may have been killed.
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        containers.remove_leftovers()


@pytest.fixture
def start() -> Iterator[Callable[..., containers.Server]]:
    servers: list[containers.Server] = []

    def start(*arguments: object, **settings: object) -> containers.Server:
        server = containers.Server.start(*arguments, **settings)  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.remove()


@pytest.fixture(scope="session")
def client1() -> Iterator[containers.Client]:
    client = containers.Client("mcp1")
    yield client
    client.close()


@pytest.fixture(scope="session")
def client2() -> Iterator[containers.Client]:
    client = containers.Client("mcp2")
    yield client
    client.close()
