"""Names that say which test run made a thing, and whether that run still lives.

Several runs may share one machine. A run removes what killed runs left behind, and must leave alone
what belongs to a run that is still going. So the name of everything a run makes (directory, network,
EMCP instance) carries the run's process id and the time that process started, which together are
never used twice.
"""

import os
import secrets
from pathlib import Path

RUN_PREFIX = "emcp-test-e2e-"


def new_name() -> str:
    """A fresh name that belongs to this process."""
    pid = os.getpid()
    return f"{RUN_PREFIX}{pid}-{_started(pid)}-{secrets.token_hex(2)}"


def is_ours(name: str) -> bool:
    """Whether this suite, in whichever run, made the thing."""
    return name.startswith(RUN_PREFIX)


def owner_lives(name: str) -> bool:
    """Whether the process that chose the name still runs."""
    pid, _, rest = name.removeprefix(RUN_PREFIX).partition("-")
    return pid.isdigit() and _started(int(pid)) == rest.partition("-")[0]


def _started(pid: int) -> str | None:
    """When the process started, in clock ticks since boot."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name, in brackets, may hold spaces; the start time is the 22nd field, 20th after it.
    return stat.rpartition(")")[2].split()[19]
