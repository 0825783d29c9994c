"""Runs one uvicorn for the entry, from the port's opening to a graceful end.

Serving happens where the file asks for it, in its own event loop if it has one, or after the file
was loaded. Only one entry is ever served.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn

from . import apps, entry as entries, output, witness
from .contract import Failure, Runtime, Settings, exit_with, flush_output, log, report_ready
from .gateway import Gateway
from .source import Source
from .tolerance import RUN_OPTIONS
from .usage import Calls

# When the server is to end, it serves on until no call is open and none comes any more, which the
# gate sees to, at most for so long. Then what is still open gets a second to end by itself. A tool
# that does not let go of the process, or a clean-up that hangs, is cut off so that the container ends
# within the three seconds promised.
DRAIN_SECONDS = 1
GRACEFUL_SECONDS = 1
FORCED_EXIT_SECONDS = 2.5
# Longer than Traefik keeps an idle connection (90 s), so that it is never the server which closes one
# that Traefik is about to use.
KEEP_ALIVE_SECONDS = 120


class Host:
    """Serves the first object it is given, and ends with the process's SIGTERM."""

    def __init__(self, settings: Settings, source: Source, runtime: Runtime, started_ns: int) -> None:
        self._settings = settings
        self._source = source
        self._runtime: Runtime = runtime
        self._started_ns = started_ns
        self._namespace: Mapping[str, Any] = {}
        self._explain: Callable[[BaseException], Failure] | None = None
        self._server: Any = None
        self._lock = threading.Lock()
        self._taken = False
        self._is_stopping = False
        self._finished = threading.Event()
        self.calls = Calls()

    def prepare(self, namespace: Mapping[str, Any], explain: Callable[[BaseException], Failure]) -> None:
        self._namespace = namespace
        self._explain = explain

    @property
    def has_served(self) -> bool:
        return self._taken

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked for the end."""
        return self._is_stopping

    def is_own_server(self, uvicorn_server: Any) -> bool:
        return uvicorn_server is self._server

    def wait_until_finished(self) -> None:
        self._finished.wait()

    def serve_blocking(self, value: Any, options: Mapping[str, Any]) -> None:
        if not self._take(value):
            self._finished.wait()
            return
        self._serve(self._entry_for(value), options)

    async def serve_async(self, value: Any, options: Mapping[str, Any]) -> None:
        if not self._take(value):
            await asyncio.to_thread(self._finished.wait)
            return
        server, listener = self._open(self._entry_for(value), options)
        try:
            await server.serve(sockets=[listener])
        except SystemExit as end:
            self._check_started(end)
        finally:
            self._finished.set()

    def serve_entry(self, entry: entries.Entry) -> None:
        """Serves what was found after the file was loaded."""
        if not self._take(entry.value):
            self._finished.wait()
            return
        self._serve(entry, {})

    def _serve(self, entry: entries.Entry, options: Mapping[str, Any]) -> None:
        server, listener = self._open(entry, options)
        runner = asyncio.Runner(loop_factory=server.config.get_loop_factory())
        try:
            runner.run(server.serve(sockets=[listener]))
        except SystemExit as end:
            # Before the loop is closed, which waits for tasks that wait for it.
            self._check_started(end)
        finally:
            self._finished.set()
        runner.close()

    def handle_sigterm(self, signal_number: int, frame: FrameType | None) -> None:
        """SIGTERM before or beside serving; while serving, uvicorn's own handler is in place."""
        if self._server is None:
            flush_output()
            os._exit(0)
        self._server.handle_exit(signal_number, frame)

    def stop_requested(self) -> None:
        self._is_stopping = True
        # Streams that are cut by a stop are no errors, though the frameworks call them so.
        logging.getLogger("uvicorn.error").addFilter(_is_not_about_a_cut_stream)
        timer = threading.Timer(FORCED_EXIT_SECONDS, _force_exit)
        timer.daemon = True
        timer.start()

    def _take(self, value: Any) -> bool:
        with self._lock:
            if self._taken:
                log(f"a second server ({type(value).__name__}) is not served; one file is one server")
                return False
            self._taken = True
            return True

    def _entry_for(self, value: Any) -> entries.Entry:
        entry = entries.of_running(value, self._namespace, self._settings.entry_object)
        if entry is None:
            message = f"the file runs an object of type {type(value).__name__}, which can't be served"
            exit_with(Failure("bad_entry_object", message))
        return entry

    def _open(self, entry: entries.Entry, options: Mapping[str, Any]) -> tuple[Any, socket.socket]:
        """Everything up to the start of the event loop; a failure here ends the process."""
        try:
            served = apps.build(entry, {**getattr(entry.value, RUN_OPTIONS, {}), **options})
        except Exception as error:
            exit_with(self._failure("the server could not be prepared", error))
        health: dict[str, Any] = {
            "kind": entry.kind.public_name,
            "runtime": self._runtime,
            "entry": entry.name,
            "sdk": importlib.metadata.version("mcp"),
            "mcp": served.speaks_mcp,
            "paths": {"mcp": served.mcp_paths, "sse": served.sse_paths},
        }
        gateway = Gateway(
            served,
            key=self._settings.gateway_key,
            prefix=self._settings.path_prefix,
            health=health,
            calls=self.calls,
        )
        if not self._settings.gateway_key:
            log("no gateway key is set: every request that reaches this container is answered")
        listener = self._bind()
        self._server = _make_server(self, gateway, health, keeps_websockets=entry.kind is entries.Kind.ASGI)
        self._gateway = gateway
        return self._server, listener

    def _bind(self) -> socket.socket:
        # Bound here and listened on by uvicorn once the lifespans are up, so that connections are
        # refused until then.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", self._settings.port))
        except OSError as error:
            message = f"port {self._settings.port} can't be opened: {error.strerror}"
            if error.errno == 98:
                message += "; does the file itself listen on it?"
            exit_with(Failure("serve_failed", message))
        return listener

    def ready(self, health: dict[str, Any]) -> None:
        output.unwatch()
        health["load_ms"] = (time.monotonic_ns() - self._started_ns) // 1_000_000
        report_ready(health)
        health["status"] = "ready"
        witness.start(self._settings.port, self._settings.gateway_key, lambda: {"calls": self.calls.running})

    def has_gateway_key(self) -> bool:
        return bool(self._settings.gateway_key)

    def _check_started(self, end: SystemExit) -> None:
        """uvicorn leaves with SystemExit when the lifespan fails; after that only the user's code does."""
        if self._server.started:
            if not self._is_stopping:
                self.end_as(end)
            return
        error = self._gateway.startup_error
        if error is None:
            exit_with(Failure("serve_failed", f"the server ended at start-up (exit {end.code})"))
        exit_with(self._failure("start-up failed", error))

    def end_as(self, end: SystemExit) -> NoReturn:
        """A handler of the user's ended the program: the log says where, and its code becomes the container's."""
        line = self._failure("", end).line
        where = f" in line {line}" if line is not None else ""
        log(f"the file ended the program itself{where} (exit code {end.code!r}) while it was serving")
        flush_output()
        code = 0 if end.code is None else end.code
        # The codes from 70 are for failures to start.
        os._exit(code if isinstance(code, int) and 0 <= code < 70 else 1)

    def _failure(self, what: str, error: BaseException) -> Failure:
        line, trace = None, "".join(traceback.format_exception_only(error))
        if self._explain is not None:
            explained = self._explain(error)
            line, trace = explained.line, explained.trace
        return Failure("serve_failed", f"{what}: {type(error).__name__}: {error}", line=line, trace=trace)


def _make_server(host: Host, gateway: Gateway, health: dict[str, Any], *, keeps_websockets: bool) -> Any:
    uvicorn = importlib.import_module("uvicorn")

    class Server(uvicorn.Server):
        drained_by: float | None = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                host.ready(health)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if self.started and self.drained_by is None:
                self.drained_by = time.monotonic() + DRAIN_SECONDS
                gateway.drain()
            else:
                self.end(sig, frame)
            host.stop_requested()

        async def on_tick(self, counter: int) -> bool:
            if self.drained_by is not None and (gateway.is_drained() or time.monotonic() >= self.drained_by):
                self.end(signal.SIGTERM, None)
            ends: bool = await super().on_tick(counter)
            return ends

        def end(self, sig: int, frame: FrameType | None) -> None:
            # By way of uvicorn's handler, which libraries hook into to end their streams.
            super().handle_exit(sig, frame)
            # Otherwise uvicorn raises the signal again after it has ended, and the exit code is lost.
            self._captured_signals.clear()

    return Server(
        uvicorn.Config(
            gateway,
            lifespan="on",
            # Without WebSockets in MCP there is no need to load their implementation.
            ws="auto" if keeps_websockets else "none",
            # The access log would hold `?key=` of clients that can send only an address.
            access_log=False,
            log_level="warning",
            server_header=False,
            # Only the gateway has the key, so only then are its forwarded headers believed.
            proxy_headers=host.has_gateway_key(),
            forwarded_allow_ips="*",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
    )


def _is_not_about_a_cut_stream(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("ASGI callable returned without", "Exception in ASGI application"))


def _force_exit() -> None:
    flush_output()
    os._exit(0)


def install_sigterm(host: Host) -> None:
    signal.signal(signal.SIGTERM, host.handle_sigterm)
