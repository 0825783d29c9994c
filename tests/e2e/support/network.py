"""The two Docker networks of one platform, in the range reserved for benchmarks (RFC 2544, 198.18.0.0/15)."""

import fcntl
import itertools
import random
import socket
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import TextIO

from .docker import DockerError, docker

RANGE = IPv4Network("198.18.0.0/15")
SUBNET_PREFIX_LENGTH = 24
# EMCP leaves the first sixteenth of its subnet to Docker; everything above is for servers.
DOCKER_RANGE_PREFIX_LENGTH = SUBNET_PREFIX_LENGTH + 4
ATTEMPTS = 40

# Below the ports Linux gives to outgoing connections, so that none of these takes a port between the
# moment it was found free and the moment the platform listens on it.
FIRST_PORT, LAST_PORT = 20_000, 30_000  # The rest, up to 32,000, is tests/ui's.
PORTS_PER_PROCESS = 200
# Held until the process ends.
_locks: list[TextIO] = []


@dataclass(frozen=True)
class Network:
    name: str
    subnet: str
    internal_subnet: str

    @property
    def internal_name(self) -> str:
        """The network of servers without egress."""
        return f"{self.name}-internal"


def create_network(name: str, labels: dict[str, str], bridges: tuple[str, str] | None = None) -> Network:
    """Create both networks, each on a /24 that overlaps with no other network of the engine, nor of the machine."""
    named = [[f"--opt=com.docker.network.bridge.name={bridge}"] for bridge in bridges or ()] or [[], []]
    internal = _create(f"{name}-internal", labels, "--internal", *named[1])
    return Network(name, _create(name, labels, *named[0]), internal)


def _create(name: str, labels: dict[str, str], *options: str) -> str:
    flags = [flag for key, value in labels.items() for flag in ("--label", f"{key}={value}")]
    refusal = ""
    for _ in range(ATTEMPTS):
        with free_subnet(SUBNET_PREFIX_LENGTH) as subnet:
            docker_range = f"{subnet.network_address}/{DOCKER_RANGE_PREFIX_LENGTH}"
            try:
                command = ["--subnet", str(subnet), "--ip-range", docker_range, *options, *flags, name]
                docker("network", "create", *command)
                return str(subnet)
            except DockerError as error:
                refusal = str(error)
                # The engine also knows of networks that have no route at the moment.
                if "overlap" not in refusal:
                    raise
    raise DockerError(f"no free subnet after {ATTEMPTS} attempts; the last answer was: {refusal}")


@contextmanager
def free_subnet(prefix_length: int) -> Generator[IPv4Network]:
    """A subnet that nothing on this machine routes; no other run gets it before the `with` statement ends.

    An engine looks at its own networks alone. With a second engine, or a bridge made by hand, on the same
    machine, the routes are what tells of all of them.
    """
    with (Path(tempfile.gettempdir()) / "emcp-test-subnets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = _routed()
        for _ in range(1000):
            address = int(RANGE.network_address) + random.getrandbits(32 - RANGE.prefixlen)
            subnet = IPv4Network((address, prefix_length), strict=False)
            if not any(subnet.overlaps(route) for route in taken):
                yield subnet
                return
    raise RuntimeError(f"the machine routes all of {RANGE}")


def _routed() -> list[IPv4Network]:
    """All destinations in the routing table but the default one (proc_net(5): hexadecimal, in host order)."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        destination, mask = (int.from_bytes(bytes.fromhex(line.split()[column]), "little") for column in (1, 7))
        if mask:
            routes.append(IPv4Network((destination, mask.bit_count())))
    return routes


def free_ports(count: int) -> list[int]:
    """Different ports nothing listens on now, and that no other test process gets."""
    return [next(port for port in _own_ports() if _is_free(port)) for _ in range(count)]


@cache
def _own_ports() -> Iterator[int]:
    """This process's ports, over and over: one that was handed out may wait until something listens on it."""
    blocks = [range(first, first + PORTS_PER_PROCESS) for first in range(FIRST_PORT, LAST_PORT, PORTS_PER_PROCESS)]
    random.shuffle(blocks)
    for block in blocks:
        lock = (Path(tempfile.gettempdir()) / f"emcp-test-ports-{block.start}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        return itertools.cycle(block)
    raise RuntimeError(f"{len(blocks)} test processes have taken all ports")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate, suppress(OSError):
        candidate.bind(("127.0.0.1", port))
        return True
    return False
