"""A port before a server, for a program that speaks plain HTTP and can send no token."""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024
# A stream that a server begins late does not hold up the rest for ever.
STREAM_BEGINS_WITHIN_SECS = 10
# Nor does a client that opens no stream: those that do ask for it in the same breath.
STREAM_ASKED_WITHIN_SECS = 2
ACCEPTED = re.compile(rb"HTTP/1\.1 202 ")
CONNECTION = re.compile(rb"(?im)^connection:.*\r\n")


class Port:
    """A port of this machine that leads to a server; where a token is given, it adds it in `Authorization`.

    Path, `Host`, `Origin`, bodies and answers pass as they are, so whoever is behind judges what the program sent.
    What was sent after a `GET` goes on when that stream has begun, as it was sent: a client opens its stream and goes
    on without waiting, and version 1 of the SDK loses what it has to say to a stream that is not there yet. The two
    take connections of their own, so the later may be here first: the first request after a notification, which is
    answered by 202, lets a `GET` pass.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._target = ("", 0)
        self._tls: ssl.SSLContext | None = None
        # One request a connection, so that each has its head read.
        self._added = b"Connection: close\r\n"
        # By path, the stream that was asked for last, once it has begun.
        self._streams: dict[bytes, asyncio.Event] = {}
        # By path, that a stream is likely to be asked for next; set when it was.
        self._asked: dict[bytes, asyncio.Event] = {}

    def start(self, url: str, *, tls: ssl.SSLContext | None = None, token: str | None = None) -> None:
        """Lead to the server at this address from now on."""
        address = urlsplit(url)
        assert address.hostname and address.port and (address.scheme == "https") == (tls is not None)
        self._target = (address.hostname, address.port)
        self._tls = tls
        if token is not None:
            self._added += f"Authorization: Bearer {token}\r\n".encode()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=self._socket), self._loop).result(10)

    def close(self) -> None:
        self._socket.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        begun = asyncio.Event()
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, path = head.split(b" ", 2)[:2]
            asked = self._asked.get(path)
            if method == b"POST":
                await _within(STREAM_ASKED_WITHIN_SECS, asked)
            before = self._streams.get(path)
            if method == b"GET":
                self._streams[path] = begun
            if asked is not None:
                # Asked for, or not to be waited for any longer.
                asked.set()
            await _within(STREAM_BEGINS_WITHIN_SECS, before)
            host, port = self._target
            name = host if self._tls else None
            answer, upstream = await asyncio.open_connection(host, port, ssl=self._tls, server_hostname=name)
            upstream.write(self._with_token(head))

            def first(piece: bytes) -> None:
                begun.set()
                if method == b"POST" and ACCEPTED.match(piece):
                    self._asked[path] = asyncio.Event()

            # Whoever ends first ends both: a client that hangs up, or an answer that is done.
            ways = {
                asyncio.ensure_future(_copy(reader, upstream, None)),
                asyncio.ensure_future(_copy(answer, writer, first)),
            }
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
        begun.set()
        for end in (writer, upstream):
            if end is not None:
                end.close()

    def _with_token(self, head: bytes) -> bytes:
        request_line, _, headers = head.partition(b"\r\n")
        return request_line + b"\r\n" + self._added + CONNECTION.sub(b"", headers)


async def _within(seconds: float, event: asyncio.Event | None) -> None:
    if event is not None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


async def _copy(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, first: Callable[[bytes], None] | None
) -> None:
    with suppress(OSError):
        while piece := await source.read(PIECE_BYTES):
            if first is not None:
                first(piece)
                first = None
            sink.write(piece)
            await sink.drain()
