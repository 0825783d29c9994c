"""What the suites say of themselves: the parts they drive, and with every failure the ends of the platforms' logs.

pytest finds these hooks in a `conftest.py` that imports them.
"""

from collections.abc import Generator

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
