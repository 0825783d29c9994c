"""A viewer of a server's log, over the WebSocket that the dashboard uses."""

import asyncio
import json
import socket
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from .api import Api, Json

T = TypeVar("T")

LINE_DEADLINE_SECS = 15.0
OPEN_DEADLINE_SECS = 30.0


class LogSocket:
    """The records of a log WebSocket, one by one. What is not asked for stays with the other side."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._records: list[Json] = []

    def next(self, deadline_secs: float = LINE_DEADLINE_SECS) -> Json:
        while not self._records:
            message = _run(self._connection.recv(), deadline_secs)
            text = message if isinstance(message, str) else message.decode()
            self._records = [json.loads(line) for line in text.splitlines() if line]
        return self._records.pop(0)

    def until_line(self, line: str) -> list[Json]:
        """All records up to the first with this line."""
        records = [self.next()]
        while records[-1]["line"] != line:
            records.append(self.next())
        return records


@contextmanager
def log_socket(
    api: Api, server: str, query: str = "", headers: dict[str, str] | None = None
) -> Generator[LogSocket]:
    """A viewer, through Traefik."""
    url = f"{api.public_url.replace('https', 'wss', 1)}/api/servers/{server}/logs{query}"
    yield from _view(api, url, headers, ssl=api.tls)


@contextmanager
def narrow_log_socket(api: Api, upstream_url: str, server: str, query: str = "") -> Generator[LogSocket]:
    """A viewer straight at EMCP with hardly any buffer, so that what it does not read stays with EMCP."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Before the connection is made: the window offered then depends on it (tcp(7)).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    url = urlsplit(upstream_url)
    connection.connect((url.hostname, url.port))
    connection.setblocking(False)
    yield from _view(api, f"ws://{url.netloc}/api/servers/{server}/logs{query}", None, sock=connection)


def _view(api: Api, url: str, headers: dict[str, str] | None, **options: Any) -> Iterator[LogSocket]:
    sent = dict(api.http.headers) if headers is None else headers
    credentials = {name: value for name, value in sent.items() if name.lower() in ("authorization", "cookie", "origin")}

    async def opened() -> ClientConnection:
        # Without pings of its own: one that does not read would not see their answers and give up.
        return await connect(url, additional_headers=credentials, proxy=None, ping_interval=None, **options)

    connection = _run(opened(), OPEN_DEADLINE_SECS)
    try:
        yield LogSocket(connection)
    finally:
        # One that has not read to the end goes without the closing handshake, which would wait for the rest.
        _loop().call_soon_threadsafe(connection.transport.abort)
        _run(connection.wait_closed(), OPEN_DEADLINE_SECS)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """All viewers live on one loop in a thread of its own. The library's client without asyncio reads and writes
    one TLS connection from two threads, which Python 3.11 does not make safe: now and then a handshake is lost.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _run(work: Coroutine[Any, Any, T], deadline_secs: float) -> T:
    return asyncio.run_coroutine_threadsafe(work, _loop()).result(deadline_secs)
