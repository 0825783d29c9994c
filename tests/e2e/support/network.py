"""The two Docker networks of one platform, in the range reserved for benchmarks (RFC 2544, 198.18.0.0/15)."""

import random
import socket
from dataclasses import dataclass

from .docker import DockerError, docker

SUBNET_PREFIX_LENGTH = 24
# EMCP leaves the first sixteenth of its subnet to Docker; everything above is for servers.
DOCKER_RANGE_PREFIX_LENGTH = SUBNET_PREFIX_LENGTH + 4
ATTEMPTS = 40

# Below the ports Linux gives to outgoing connections, so that none of these takes a port between the
# moment it was found free and the moment the platform listens on it.
FIRST_PORT, LAST_PORT = 20_000, 32_000


@dataclass(frozen=True)
class Network:
    name: str
    subnet: str
    internal_subnet: str

    @property
    def internal_name(self) -> str:
        """The network of servers without egress."""
        return f"{self.name}-internal"


def create_network(name: str, labels: dict[str, str]) -> Network:
    """Create both networks, each on a /24 that overlaps with no other network of the engine."""
    return Network(name, _create(name, labels), _create(f"{name}-internal", labels, "--internal"))


def _create(name: str, labels: dict[str, str], *options: str) -> str:
    label_flags = [flag for key, value in labels.items() for flag in ("--label", f"{key}={value}")]
    refusal = ""
    for _ in range(ATTEMPTS):
        base = f"198.{random.choice((18, 19))}.{random.randrange(256)}.0"
        subnet = f"{base}/{SUBNET_PREFIX_LENGTH}"
        docker_range = f"{base}/{DOCKER_RANGE_PREFIX_LENGTH}"
        try:
            docker("network", "create", "--subnet", subnet, "--ip-range", docker_range, *options, *label_flags, name)
            return subnet
        except DockerError as error:
            refusal = str(error)
            if "overlap" not in refusal:
                raise
    raise DockerError(f"no free subnet after {ATTEMPTS} attempts; the last answer was: {refusal}")


def free_ports(count: int) -> list[int]:
    """Different ports nothing listens on now."""
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                candidate.bind(("127.0.0.1", random.randrange(FIRST_PORT, LAST_PORT)))
                sockets.append(candidate)
            except OSError:
                candidate.close()
        return [bound.getsockname()[1] for bound in sockets]
    finally:
        for bound in sockets:
            bound.close()
