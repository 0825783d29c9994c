"""What the suites say of themselves: the parts they drive, what they measured, with every failure the ends of logs.

pytest finds these hooks, and the fixture, in a `conftest.py` that imports them.
"""

from collections.abc import Callable, Generator

import pytest

from . import settings
from .running import Platform


def pytest_report_header() -> list[str]:
    try:
        parts = [f"emcp: {settings.emcp_bin()}", f"traefik: {settings.traefik_bin()}"]
    except settings.MissingSetting as error:
        raise pytest.UsageError(str(error)) from None
    return [*parts, f"docker: {settings.docker_host()}, base image: {settings.base_image()}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for platform in Platform.live:
            report.sections.extend(platform.log_tails())
    return report


TOLD = "told"


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says something to whoever runs the tests: at once; in the end, where workers run them beside each other."""

    def say(text: str) -> None:
        if is_worker(request.config):
            request.node.user_properties.append((TOLD, text))
        else:
            with capsys.disabled():
                print(f"\n{text}", flush=True)

    return say


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes that share the tests of a run."""
    return hasattr(config, "workerinput")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            told = [text for name, text in report.user_properties if name == TOLD and report.when == "call"]
            for text in told:
                terminalreporter.write_line(f"{report.nodeid}:\n{text}")
