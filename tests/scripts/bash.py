"""Functions of the scripts, called from a script as small as can be."""

import os
import subprocess
from pathlib import Path

from support.settings import REPO_DIR

SCRIPTS = REPO_DIR / "scripts"
DEADLINE_SECS = 120


def caller(path: Path, *lines: str, sources: tuple[str, ...] = ()) -> Path:
    """A script `NAME.sh` that sources lib.sh, what else is named, and runs the lines."""
    loaded = [f"source {SCRIPTS}/{name}.sh" for name in ("lib", *sources)]
    path.write_text("\n".join(["#!/usr/bin/env bash", *loaded, *lines]) + "\n")
    path.chmod(0o755)
    return path


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """That of a person without settings, whose cache and state are in this folder."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("EMCP_")},
        "EMCP_CACHE_DIR": str(folder / "cache"),
        "EMCP_STATE_DIR": str(folder / "state"),
        "EMCP_LOCK_FILE": str(folder / "lock"),
        **settings,
    }


def run(command: list[str | Path], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """What it printed, errors among it."""
    return subprocess.run(
        command,
        env=environment(folder, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )
