"""Attackers: each keeps doing one thing from processes of its own until it is told to end.

They come from addresses of this machine that nobody else uses, so that what is counted by address meets them and not
the callers beside them.
"""

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LARGE_BYTES = 7_900_000
SMALL_BYTES = 59_000
PATIENCE_SECS = 5.0
PAUSE_SECS = 0.05
PIECE = b" " * 65536


@dataclass(frozen=True)
class Target:
    """Where to, and as whom."""

    public_url: str
    upstream_url: str
    ca_file: str
    # A developer's token, and the hostile servers that are hers.
    token: str
    hostile: tuple[str, ...]
    # A server of somebody else.
    victim: str


@dataclass(frozen=True)
class Plan:
    """One attacker: what it does, from where, and how often at once."""

    kind: str
    source: str
    width: int


SHORT = (
    Plan("sign_ins", "127.0.1.1", 30),
    Plan("unfinished_sign_ins", "127.0.1.2", 256),
    Plan("unfinished_calls", "127.0.1.3", 128),
    Plan("large_calls", "127.0.1.4", 24),
    Plan("direct_connections", "127.0.1.5", 256),
    Plan("unfinished_messages", "127.0.1.6", 5),
    Plan("trials", "127.0.1.7", 8),
)
LONG = (
    *SHORT,
    Plan("unfinished_sign_ins", "127.0.2.2", 2_048),
    Plan("unfinished_calls", "127.0.2.3", 1_024),
    Plan("large_calls", "127.0.2.4", 64),
    Plan("direct_connections", "127.0.2.5", 2_048),
    Plan("unfinished_messages", "127.0.2.6", 64),
)


class Attack:
    """`with Attack(...) as attack:` attacks all the time; `attack.done()` tells how often by kind."""

    def __init__(self, target: Target, plans: tuple[Plan, ...]) -> None:
        context = get_context("spawn")
        self._end = context.Event()
        self._counts = [(plan, context.Value("q", 0)) for plan in plans]
        self._processes = [
            context.Process(target=_run, args=(plan, target, self._end, count), daemon=True)
            for plan, count in self._counts
        ]

    def __enter__(self) -> "Attack":
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for process in self._processes:
            process.join(PATIENCE_SECS)
            if process.is_alive():
                process.kill()
                process.join()

    def done(self) -> dict[str, int]:
        """How many attempts each attacker has made."""
        return {f"{plan.kind} from {plan.source}": int(count.value) for plan, count in self._counts}


class Attacker:
    """What the attackers share: connections from one address, and a count of attempts."""

    def __init__(self, plan: Plan, target: Target, end: Any, count: Any) -> None:
        self.plan, self.target = plan, target
        self._end, self._count = end, count
        self._tls = ssl.create_default_context(cafile=target.ca_file)

    def is_over(self) -> bool:
        return bool(self._end.is_set())

    def pause(self) -> None:
        self._end.wait(PAUSE_SECS)

    def attempt(self) -> None:
        with self._count.get_lock():
            self._count.value += 1

    def connect(self, url: str) -> socket.socket:
        address = urlsplit(url)
        plain = socket.create_connection(
            (_ipv4(address.hostname), address.port or 443), PATIENCE_SECS, (self.plan.source, 0)
        )
        if address.scheme != "https":
            return plain
        return self._tls.wrap_socket(plain, server_hostname=address.hostname)

    def request(self, method: str, path: str, length: int | None, token: str | None = None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(self.target.public_url).netloc}"]
        lines += ["Content-Type: application/json", f"Content-Length: {length}"] if length is not None else []
        lines += [f"Authorization: Bearer {token}"] if token else []
        return "\r\n".join([*lines, "", ""]).encode()

    def everywhere(self, work: Callable[[], None]) -> None:
        """Do this in as many threads as are planned, again and again."""

        def again() -> None:
            while not self.is_over():
                self.attempt()
                with suppress(OSError):
                    work()
                self.pause()

        threads = [threading.Thread(target=again, daemon=True) for _ in range(self.plan.width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def hold(self, url: str, begin: bytes) -> None:
        """Keep as many connections open as are planned, each with a request that does not end."""
        held: list[socket.socket] = []
        while not self.is_over():
            held = [each for each in held if not _is_closed(each)]
            for _ in range(min(self.plan.width - len(held), 64)):
                self.attempt()
                with suppress(OSError):
                    connection = self.connect(url)
                    connection.settimeout(1.0)
                    connection.sendall(begin)
                    held.append(connection)
            self.pause()
        for connection in held:
            connection.close()


def sign_ins(attacker: Attacker) -> None:
    """Nobody signs in with a body of almost 8 MB."""

    def work() -> None:
        with attacker.connect(attacker.target.public_url) as connection:
            connection.sendall(attacker.request("POST", "/api/session", LARGE_BYTES))
            _pour(connection, LARGE_BYTES)
            connection.recv(4096)

    attacker.everywhere(work)


def unfinished_sign_ins(attacker: Attacker) -> None:
    """Sign-ins that never come to their end."""
    attacker.hold(attacker.target.public_url, attacker.request("POST", "/api/session", 4_000) + b'{"token": "')


def unfinished_calls(attacker: Attacker) -> None:
    """Calls of a server without a token, small enough to be read first, that never come to their end."""
    head = attacker.request("POST", f"/api/{attacker.target.victim}/mcp", SMALL_BYTES)
    attacker.hold(attacker.target.public_url, head + PIECE[: SMALL_BYTES - 1_000])


def large_calls(attacker: Attacker) -> None:
    """Calls of a server without a token, with a body of almost 8 MB."""

    def work() -> None:
        with attacker.connect(attacker.target.public_url) as connection:
            connection.sendall(attacker.request("POST", f"/api/{attacker.target.victim}/mcp", LARGE_BYTES))
            _pour(connection, LARGE_BYTES)
            connection.recv(4096)

    attacker.everywhere(work)


def direct_connections(attacker: Attacker) -> None:
    """Connections around Traefik whose headers never end."""
    attacker.hold(attacker.target.upstream_url, b"GET /healthz HTTP/1.1\r\nX-Slow: ")


def unfinished_messages(attacker: Attacker) -> None:
    """A viewer of a log who begins a message and does not end it."""
    head = attacker.request(
        "GET", f"/api/servers/{attacker.target.hostile[0]}/logs", None, attacker.target.token
    ).removesuffix(b"\r\n")
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    upgrade += b"AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    # RFC 6455 §5.2: a text frame of 64 MB, masked with zeros.
    frame = bytes([0x81, 0xFF]) + (64 * 1024 * 1024).to_bytes(8, "big") + bytes(4)

    def work() -> None:
        with attacker.connect(attacker.target.public_url) as connection:
            connection.sendall(head + upgrade)
            connection.recv(4096)
            connection.sendall(frame)
            while not attacker.is_over():
                connection.sendall(PIECE)

    attacker.everywhere(work)


def trials(attacker: Attacker) -> None:
    """A developer looks at the tools of her hostile servers, again and again, and lets EMCP call them."""
    turns = iter(range(1_000_000))

    def work() -> None:
        turn = next(turns)
        server = attacker.target.hostile[turn % len(attacker.target.hostile)]
        path, body = f"/api/servers/{server}", json.dumps({"name": "tool-0"}).encode()
        calls = [("GET", f"{path}/tools", None), ("POST", f"{path}/tools/call", body), ("POST", f"{path}/test", b"")]
        method, path, content = calls[turn % len(calls)]
        length = None if content is None else len(content)
        with attacker.connect(attacker.target.public_url) as connection:
            connection.settimeout(60)
            connection.sendall(attacker.request(method, path, length, attacker.target.token) + (content or b""))
            connection.recv(4096)

    attacker.everywhere(work)


KINDS = {each.__name__: each for each in (sign_ins, unfinished_sign_ins, unfinished_calls, large_calls)}
KINDS |= {each.__name__: each for each in (direct_connections, unfinished_messages, trials)}


def peak_mb(pid: int) -> float:
    """The most memory that a process has had at once."""
    return _status(pid, "VmHWM")


def resident_mb(pid: int) -> float:
    """The memory that a process has."""
    return _status(pid, "VmRSS")


@contextmanager
def growth_below(pid: int, limit_mb: float) -> Iterator[None]:
    """What happens inside makes the process grow by less than this, even for an instant."""
    # 5: the peak is the present again (proc(5)).
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = resident_mb(pid)
    yield
    grown = peak_mb(pid) - before
    assert grown < limit_mb, f"it grew by {grown:.0f} MB, from {before:.0f} MB"


def _status(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no {field}")


def _run(plan: Plan, target: Target, end: Any, count: Any) -> None:
    # Those who are attacked and those who call go first.
    os.nice(10)
    KINDS[plan.kind](Attacker(plan, target, end, count))


def _pour(connection: socket.socket, length: int) -> None:
    for _ in range(length // len(PIECE)):
        connection.sendall(PIECE)
    connection.sendall(PIECE[: length % len(PIECE)])


def _ipv4(host: str | None) -> str:
    return "127.0.0.1" if host in (None, "localhost") else str(host)


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        pass
    connection.close()
    return True
