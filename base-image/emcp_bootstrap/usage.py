"""Counts the requests that are being answered, so that EMCP knows when nobody uses the server, and
whether one that gives no answer is busy with a call.

EMCP puts an idle server to sleep by what is told here, so what is told must not be less than what is
going on: a request counts from its arrival until its app has returned. That is after the last byte of
a stream, after a background task that belongs to the response, and, when a client goes away, after
the app has noticed. Pure ASGI; knows no SDK.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine, Mapping
from types import ModuleType
from typing import Any

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


class Call:
    """One call that is being answered; it may end more than once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._is_open = True
        calls.running += 1

    def end(self) -> None:
        if self._is_open:
            self._is_open = False
            self._calls.running -= 1


class Calls:
    """Counts what the file's own code is being asked for: while one of these runs, it may block the whole server.

    A stream that a client listens on is none, however long it is open. A call over the old transport is
    no request of its own to the gateway, so the SDKs' handling of one counts too. Changed by the event
    loop alone; read by others.
    """

    def __init__(self) -> None:
        self.running = 0

    def patches(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Where the two versions of the SDK handle one request, by module."""
        return {
            "mcp.server.lowlevel.server": lambda module: self._count(module.Server, "_handle_request"),
            "mcp.server.runner": lambda module: self._count(module.ServerRunner, "_on_request"),
        }

    def _count(self, cls: Any, name: str) -> None:
        original: Callable[..., Coroutine[Any, Any, Any]] | None = getattr(cls, name, None)
        # Another version of the SDK: its calls over streamable HTTP count all the same.
        if original is None:
            return

        @functools.wraps(original)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            call = Call(self)
            try:
                return await original(*args, **kwargs)
            finally:
                call.end()

        setattr(cls, name, counted)
