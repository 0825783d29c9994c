"""Starts the user's server: picks the Python environment, then serves the file inside it.

Run with `check`, it only says what is wrong with the file (see `emcp_bootstrap.check`); with `disk` and
a size, as root, it opens the disk of a server that has storage (see `emcp_bootstrap.disk`).

Run without arguments by the image's own Python, where only the standard library is imported and the
user's file is inspected but not run. It then replaces itself by the chosen environment's Python, with
the choice as arguments.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NoReturn, cast

sys.path.insert(0, str(Path(__file__).resolve().parent))

from emcp_bootstrap.contract import USER_FILE, Failure, Runtime, Settings, exit_with, log  # noqa: E402


def choose_environment() -> NoReturn:
    started_ns = time.monotonic_ns()
    from emcp_bootstrap import environments, source

    try:
        settings = Settings.from_environment(os.environ)
        choice = environments.choose(source.read(USER_FILE), settings.runtime, environments.installed())
    except Failure as failure:
        exit_with(failure)
    log(f"environment {choice.runtime} ({choice.reason})")
    python = environments.installed()[choice.runtime].python
    # -P keeps this folder off the import path; -u passes the user's prints on at once.
    os.execv(python, [str(python), "-P", "-u", __file__, choice.runtime, str(started_ns)])


def serve(runtime: Runtime, started_ns: int) -> NoReturn:
    from emcp_bootstrap import run

    sys.path.pop(0)
    run.main(Settings.from_environment(os.environ), runtime, started_ns)


def check() -> None:
    from emcp_bootstrap import check

    try:
        settings = Settings.from_environment(os.environ)
    except Failure as failure:
        exit_with(failure)
    check.main(USER_FILE, settings.runtime, settings.entry_object)


def disk(size_bytes: int) -> NoReturn:
    from emcp_bootstrap import disk

    disk.main(size_bytes)


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        check()
        sys.exit()
    if sys.argv[1:2] == ["disk"]:
        disk(int(sys.argv[2]))
    if len(sys.argv) == 3:
        serve(cast(Runtime, sys.argv[1]), int(sys.argv[2]))
    choose_environment()
