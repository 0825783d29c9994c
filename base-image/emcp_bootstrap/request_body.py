"""Reads what an app has left unread of a request's body.

An app may answer before it has read the body: it refuses by the headers, or fails. Where the connection
is then closed (uvicorn does so after a failure, an app may ask for it, and a server that is ending
does), the kernel resets it because of the bytes nobody read, and the answer is lost on its way: the
client gets a 502. So the rest is read before the answer ends, within bounds. Pure ASGI; knows no SDK.
"""

from __future__ import annotations

import asyncio

from .apps import Message, Receive

# What Traefik lets through is 8 MB and is there at once; whoever sends more, or slowly, is cut off.
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_SECONDS = 5.0


class RequestBody:
    """Passes a request's messages on and knows whether the last one has been there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_over = True
        return message

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
