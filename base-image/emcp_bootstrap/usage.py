"""Counts the requests that are being answered, so that EMCP knows when nobody uses the server.

EMCP puts an idle server to sleep by what is told here, so what is told must not be less than what is
going on: a request counts from its arrival until its app has returned. That is after the last byte of
a stream, after a background task that belongs to the response, and, when a client goes away, after
the app has noticed. Pure ASGI; knows no SDK.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from .apps import App, Receive, Scope, Send


class Usage:
    """Lives in the event loop that serves; needs no lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open = 0
        # A server that was never asked anything is idle since it began to serve.
        self._last_end = clock()

    async def counted(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app for one request and counts it, however it ends."""
        self._open += 1
        try:
            await app(scope, receive, send)
        finally:
            self._open -= 1
            self._last_end = self._clock()

    def report(self) -> Mapping[str, int]:
        """How many requests are open, and for how long there has been none.

        The clock also runs while the container is frozen, so the time is true after that too.
        """
        idle_secs = 0.0 if self._open else self._clock() - self._last_end
        return {"open_requests": self._open, "idle_ms": int(idle_secs * 1000)}
