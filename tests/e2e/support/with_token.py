"""Before Traefik, for a program that speaks plain HTTP and can send no token: adds one and changes nothing else."""

import asyncio
import re
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024
# One request a connection, so that each has its head read and gets the token.
CONNECTION = re.compile(rb"(?im)^connection:.*\r\n")


class TokenAdder:
    """A port of this machine that leads to Traefik over verified TLS, with the token in `Authorization`.

    Path, `Host`, `Origin`, bodies and answers pass as they are, so the gate judges what the program sent.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._target = ("", 0)

    def start(self, public_url: str, tls: ssl.SSLContext, token: str) -> None:
        """Lead to the platform at this address from now on."""
        address = urlsplit(public_url)
        assert address.scheme == "https" and address.hostname and address.port
        self._target = (address.hostname, address.port)
        self._tls = tls
        self._added = f"Authorization: Bearer {token}\r\nConnection: close\r\n".encode()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=self._socket), self._loop).result(10)

    def close(self) -> None:
        self._socket.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            host, port = self._target
            answer, upstream = await asyncio.open_connection(host, port, ssl=self._tls, server_hostname=host)
            upstream.write(self._with_token(head))
            # Whoever ends first ends both: a client that hangs up, or an answer that is done.
            ways = {asyncio.ensure_future(_copy(reader, upstream)), asyncio.ensure_future(_copy(answer, writer))}
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
        for end in (writer, upstream):
            if end is not None:
                end.close()

    def _with_token(self, head: bytes) -> bytes:
        request_line, _, headers = head.partition(b"\r\n")
        return request_line + b"\r\n" + self._added + CONNECTION.sub(b"", headers)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(PIECE_BYTES):
            sink.write(piece)
            await sink.drain()
