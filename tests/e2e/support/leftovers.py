"""Removes what test runs that were killed left behind: containers, networks, processes, directories."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

from .docker import docker, remove_containers
from .firewall import remove_rules_of_dead_runs
from .owner import RUN_PREFIX, is_ours, owner_lives

PIDS_FILE = "pids"


def remove_leftovers() -> list[str]:
    """Remove everything that belongs to a dead run; returns the names of what was removed."""
    removed: set[str] = set()
    directories = [path for path in _run_directories() if not owner_lives(path.name)]
    for directory in directories:
        removed.add(directory.name)
        kill_recorded_processes(directory)
    for container, instance in _containers():
        if not owner_lives(instance):
            removed.add(instance)
            remove_containers([container])
    for network in _networks():
        if not owner_lives(network):
            removed.add(network)
            docker("network", "rm", network)
    for image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        name = image.rpartition(":")[0].rpartition("/")[2]
        if is_ours(name) and not owner_lives(name):
            removed.add(name)
            docker("image", "rm", image)
    removed.update(remove_rules_of_dead_runs())
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    return sorted(removed)


def record_process(run_dir: Path, pid: int) -> None:
    """Note a process, so that it can be ended even when the run that started it is killed."""
    with (run_dir / PIDS_FILE).open("a") as file:
        file.write(f"{pid}\n")


def kill_recorded_processes(run_dir: Path) -> None:
    """End the noted processes, unless their pid belongs to something else by now."""
    try:
        pids = [int(line) for line in (run_dir / PIDS_FILE).read_text().split()]
    except OSError:
        return
    for pid in pids:
        if _belongs_to(pid, run_dir):
            os.kill(pid, signal.SIGKILL)


def _belongs_to(pid: int, run_dir: Path) -> bool:
    """Every process of a run has the run's directory in its environment or command line."""
    needle = os.fsencode(run_dir)
    try:
        return any(needle in Path(f"/proc/{pid}/{file}").read_bytes() for file in ("environ", "cmdline"))
    except OSError:
        return False


def _run_directories() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"))


def _networks() -> list[str]:
    names = docker("network", "ls", "--format", "{{.Name}}").splitlines()
    return [name for name in names if is_ours(name)]


def _containers() -> list[tuple[str, str]]:
    template = '{{.ID}} {{.Label "emcp.instance"}}'
    listing = docker("ps", "--all", "--no-trunc", "--filter", "label=emcp.instance", "--format", template)
    rows = (line.partition(" ") for line in listing.splitlines())
    return [(container, instance) for container, _, instance in rows if is_ours(instance)]
