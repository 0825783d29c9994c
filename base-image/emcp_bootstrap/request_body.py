"""Reads what an app has left unread of a request's body.

An app may answer before it has read the body: it refuses by the headers, or fails. Where the connection
is then closed (uvicorn does so after a failure, an app may ask for it, and a server that is ending
does), the kernel resets it because of the bytes nobody read, and the answer is lost on its way: the
client gets a 502. So the rest is read before the answer ends, within bounds. Pure ASGI; knows no SDK.

A body of untold length is read whole before the app sees any of it: Traefik passes it on as it comes,
uncounted, and an answer that overtook it would be lost (ADR 7).
"""

from __future__ import annotations

import asyncio

from .apps import Message, Receive

# What Traefik lets through of a told length (`traefik::document`), and so of an untold one.
MAX_BYTES = 8_000_000
# What Traefik lets through is 8 MB and is there at once; whoever sends more, or slowly, is cut off.
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_SECONDS = 5.0


class RequestBody:
    """Passes a request's messages on and knows whether the last one has been there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False
        self._kept: Message | None = None

    async def receive(self) -> Message:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_over = True
        return message

    async def read_whole(self) -> bool:
        """Keeps the body to its end; False if it has more than `MAX_BYTES`, of which none is kept then."""
        pieces: list[bytes] = []
        length = 0
        while not self._is_over:
            message = await self.receive()
            if message["type"] != "http.request":
                # The client is gone: the app learns of it as it would have.
                self._kept = message
                return True
            piece: bytes = message.get("body", b"")
            length += len(piece)
            if length > MAX_BYTES:
                pieces.clear()
                await self.drain()
                return False
            pieces.append(piece)
        self._kept = {"type": "http.request", "body": b"".join(pieces), "more_body": False}
        return True

    async def drain(self) -> None:
        """Reads to the end of the body and throws it away."""
        if self._is_over:
            return
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._is_over and left > 0:
                    message = await self.receive()
                    left -= len(message.get("body", b""))
        except TimeoutError:
            pass
        # Once is enough, however it ended.
        self._is_over = True
