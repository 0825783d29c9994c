"""Fixtures of the end-to-end tests: real emcp, real Traefik, real Docker Engine, real MCP clients.

The platform is made once for all tests that can share one; servers are made per test or per module.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import settings
from support.api import Api, Json
from support.clients import CLIENTS, ClientDriver, bearer, client_driver
from support.docker import docker
from support.leftovers import remove_leftovers
from support.reporting import (  # noqa: F401
    is_worker,
    pytest_report_header,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    tell,
)
from support.running import Platform
from support.wire import two_servers

SERVERS_DIR = Path(__file__).parent / "servers"


def pytest_sessionstart(session: pytest.Session) -> None:
    # Once for all workers.
    if is_worker(session.config):
        return
    removed = remove_leftovers()
    if removed:
        print(f"removed leftovers of killed runs: {', '.join(removed)}")


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The platform most tests share. Tests must not stop or reconfigure it."""
    yield from _run_platform(Platform())


@pytest.fixture(scope="session")
def api(platform: Platform) -> Api:
    """The shared platform's API with the admin token."""
    return platform.api


@pytest.fixture(scope="module")
def new_platform() -> Iterator[Callable[..., Platform]]:
    """Makes further platforms with settings of their own, for tests that break or reconfigure them.

    They end with the file: what they and their servers do meanwhile would be in the way of the next one's.
    """
    started: list[Platform] = []

    def make(**emcp_settings: str) -> Platform:
        extra = Platform(holds_sockets=False, **emcp_settings)
        started.append(extra)
        extra.start()
        return extra

    yield make
    for extra in started:
        extra.stop()


@pytest.fixture(scope="session")
def fixtures(api: Api) -> Iterator[dict[str, Json]]:
    """The protocol fixture of each SDK generation, running: `fixture-v1` and `fixture-v2`."""
    names = ("fixture-v1", "fixture-v2")
    for name in names:
        api.create(name, SERVERS_DIR / f"{name.replace('-', '_')}.py", start="true")
    yield {name: api.wait_for(name, "running") for name in names}
    for name in names:
        api.delete(name)


@pytest.fixture(scope="module")
def tokens_of_two(platform: Platform) -> Iterator[tuple[str, str]]:
    """Two servers that tell what reached them, and the token for each alone."""
    with two_servers(platform) as tokens:
        yield tokens


@pytest.fixture(scope="session")
def admin_headers(platform: Platform) -> dict[str, str]:
    """What a client sends to be let in everywhere."""
    return bearer(platform.admin_token)


@pytest.fixture(scope="session")
def drivers(platform: Platform) -> dict[str, ClientDriver]:
    """All client drivers by name, trusting the shared platform's CA."""
    return {name: client_driver(name, platform.ca_file) for name in CLIENTS}


def _run_platform(platform: Platform) -> Iterator[Platform]:
    docker("image", "inspect", settings.base_image())
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
