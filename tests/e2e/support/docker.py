"""The Docker command line, pointed at the engine under test."""

import json
import subprocess
from typing import Any

from .settings import docker_host


class DockerError(RuntimeError):
    """A docker command failed."""


def docker(*arguments: str, timeout_secs: float = 60) -> str:
    """Run one docker command and return its output."""
    command = ["docker", "--host", docker_host(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_secs, check=False)
    if done.returncode != 0:
        raise DockerError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def containers(instance: str) -> list[str]:
    """Ids of all containers of one EMCP instance, stopped ones too."""
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=emcp.instance={instance}").split()


def inspect(container_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", container_id))
    return found[0]


def remove_containers(container_ids: list[str]) -> None:
    if container_ids:
        docker("rm", "--force", "--volumes", *container_ids)
