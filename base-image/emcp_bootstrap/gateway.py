"""The outermost ASGI app: gateway key, health, open requests, path prefix, lifespan, the last calls before an end.

Pure ASGI, so that streams pass unbuffered. Knows no SDK and no HTTP server.
"""

from __future__ import annotations

import functools
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import tickets
from .apps import SSE_PATH, App, Message, Receive, Scope, Send, Served
from .endpoints import MCP_PATH
from .request_body import MAX_BYTES, RequestBody
from .usage import Usage

KEY_HEADER = b"x-emcp-gateway-key"
SESSION_HEADER = b"mcp-session-id"
HEALTH_PATH = "/.emcp/health"
# How long no call may have been open for it to be believed that none is on its way any more.
QUIET_SECONDS = 0.2

Headers = list[tuple[bytes, bytes]]


class Gateway:
    def __init__(self, served: Served, *, key: str, prefix: str, health: Mapping[str, Any]) -> None:
        self._served = served
        self._key = key.encode("ascii")
        self._prefix = prefix
        # Filled in by the server once it is ready; requests only arrive after that.
        self._health = health
        self._usage = Usage()
        self.startup_error: BaseException | None = None
        self._open_calls = 0
        self._quiet_since = 0.0
        self._is_draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if not self._has_key(scope):
            await self._refuse(scope, receive, send)
            return
        if scope["path"] == HEALTH_PATH and scope["type"] == "http":
            # Not counted: EMCP's own question whether anybody uses the server is no use of it.
            health = {**self._health, **self._usage.report()}
            await _send_json(send, 200, health, head=scope["method"] == "HEAD")
            return
        told = self._told_at(scope)
        if told is not None:
            status, body, headers = told
            await _send_json(send, status, body, head=scope["method"] == "HEAD", headers=headers)
            return
        path = self._served.canonical_path(scope["path"])
        ticket = tickets.of_request(scope) if scope["type"] == "http" else None
        if ticket is not None:
            send = tickets.writing_into_endpoint(send, ticket)
        app = functools.partial(self._answer, self._served.app_for(path))
        await self._usage.counted(app, self._inner_scope(scope, path), receive, send)

    async def _answer(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = RequestBody(receive)
        answer = Answer(send, body, closes=lambda: self._is_draining)
        # Streams that a client opens by GET never end by themselves; calls do.
        is_call = scope["method"] != "GET"
        self._open_calls += is_call
        try:
            if _is_of_untold_length(scope) and not await body.read_whole():
                message = f"a request's body may have at most {MAX_BYTES:,} bytes (8 MB)"
                error = {"error": {"code": "too_large", "message": message}}
                await _send_json(answer.send, 413, error, head=False)
                return
            await app(scope, body.receive, answer.send)
        finally:
            if not answer.is_complete:
                await body.drain()
            if is_call:
                self._open_calls -= 1
                self._quiet_since = time.monotonic()
            if self._is_draining:
                await answer.finish()

    def _told_at(self, scope: Scope) -> tuple[int, Mapping[str, Any], Headers] | None:
        """What is answered in place of a server that EMCP itself put at /mcp and /sse.

        A stream by GET belongs to a session (MCP 2025-06-18, Transports, Session Management). Without
        one the answer is 405, by which clients that try SSE first know to go on with POST.
        """
        if scope["type"] != "http" or self._served.sse_app is None or scope["method"] not in ("GET", "HEAD"):
            return None
        path = self._served.canonical_path(scope["path"])
        if path == MCP_PATH and not any(name.lower() == SESSION_HEADER for name, _ in scope["headers"]):
            message = "there is no session here to listen to: POST to this address, or use /sse for the older transport"
            return 405, {"error": {"code": "method_not_allowed", "message": message}}, [(b"allow", b"POST, DELETE")]
        if path.rstrip("/") == "" and not self._served.has_root:
            urls = {"mcp": f"{self._prefix}{MCP_PATH}", "sse": f"{self._prefix}{SSE_PATH}"}
            return 200, {"paths": urls, "message": "paste one of these, below this host, into an MCP client"}, []
        return None

    def drain(self) -> None:
        """From now on connections are closed with their answers, so that none is idle when all are closed."""
        self._is_draining = True
        self._quiet_since = time.monotonic()

    def is_drained(self) -> bool:
        """Whether no call is open, and none came for a while."""
        return self._open_calls == 0 and time.monotonic() - self._quiet_since >= QUIET_SECONDS

    def _has_key(self, scope: Scope) -> bool:
        if not self._key:
            return True
        given = [value for name, value in scope["headers"] if name.lower() == KEY_HEADER]
        return len(given) == 1 and hmac.compare_digest(given[0], self._key)

    def _inner_scope(self, scope: Scope, path: str) -> Scope:
        """The request as it was before the prefix was stripped, without what the gate added and
        without the client's credential.

        Frameworks take `root_path` away from `path` when they route, so both have to be set.
        """
        inner = dict(scope)
        hidden = (KEY_HEADER, tickets.TICKET_HEADER)
        inner["headers"] = [pair for pair in scope["headers"] if pair[0].lower() not in hidden]
        inner["query_string"] = tickets.without_credentials(scope.get("query_string", b""), path)
        inner["root_path"] = self._prefix
        inner["path"] = self._prefix + path
        raw_path: bytes | None = scope.get("raw_path")
        if raw_path is not None:
            if path != scope["path"]:
                raw_path = path.encode("utf-8") if path.isascii() else raw_path
            inner["raw_path"] = self._prefix.encode("ascii") + raw_path
        return inner

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            # Closing before accepting answers the handshake with 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        error = {
            "code": "gateway_key_required",
            "message": "this server only answers through the EMCP gateway; use its public address",
        }
        await _send_json(send, 403, {"error": error}, head=scope["method"] == "HEAD")

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._served.lifespan is None:
            await self._forward_lifespan(scope, receive, send)
            return
        await receive()
        is_up = False
        try:
            async with self._served.lifespan():
                is_up = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BaseException as error:
            if is_up:
                raise
            await self._startup_failed(error, send)
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _forward_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_up = False
        told: str | None = None

        async def watched_send(message: Message) -> None:
            nonlocal is_up, told
            # The app's own words would be logged with the framework's frames in them.
            if message["type"] == "lifespan.startup.failed":
                told = message.get("message", "")
            else:
                is_up = True
                await send(message)

        try:
            await self._served.app(scope, receive, watched_send)
            if told is not None:
                await self._startup_failed(RuntimeError(told), send)
        except BaseException as error:
            if is_up:
                raise
            if told is not None or hasattr(self._served.app, "routes"):
                await self._startup_failed(error, send)
                return
            # A bare ASGI app may not know the lifespan protocol; it is served without one.
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    async def _startup_failed(self, error: BaseException, send: Send) -> None:
        self.startup_error = error
        await send({"type": "lifespan.startup.failed", "message": ""})


class Answer:
    """Watches what an app sends, so that an answer that the server's end cuts off still has an end, and
    none ends before the request's body was read."""

    def __init__(self, send: Send, body: RequestBody, closes: Callable[[], bool]) -> None:
        self.is_complete = False
        self._send = send
        self._body = body
        self._closes = closes
        self._is_open = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._closes():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            self._is_open = True
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_open = False
            self.is_complete = True
            await self._body.drain()
        await self._send(message)

    async def finish(self) -> None:
        """Ends a stream as if the app had: the client sees its end and not a broken connection."""
        if self._is_open:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_of_untold_length(scope: Scope) -> bool:
    """Sent in chunks (RFC 9112 §7.1); what has neither length nor chunks has no body."""
    return any(name.lower() == b"transfer-encoding" for name, _ in scope["headers"])


async def _send_json(
    send: Send, status: int, body: Mapping[str, Any], *, head: bool, headers: Headers | None = None
) -> None:
    data = json.dumps(body, ensure_ascii=False).encode("utf-8")
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
    await send({"type": "http.response.body", "body": b"" if head else data})
