"""Builds the ASGI apps that serve an entry: SSE, streamable HTTP, or the user's own app.

Imports the SDKs only when called, inside the chosen environment. Knows nothing of keys, prefixes or
ports.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from .entry import Entry, Kind

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[None]]

SSE_PATH = "/sse"
MESSAGES_PATH = "/messages/"
MCP_PATH = "/mcp"

# Serving both the old sessions and the revision without sessions needs the SDKs' stateful mode:
# version 2 of the SDK tells them apart by request and keeps no session for the new revision.
_HTTP_OPTIONS = ("json_response", "stateless_http", "event_store", "retry_interval")
_MCPSERVER_OPTIONS = (*_HTTP_OPTIONS, "max_request_body_size", "session_idle_timeout", "max_sessions")
_FASTMCP_OPTIONS = (*_HTTP_OPTIONS, "middleware")


@dataclass(frozen=True)
class Served:
    """The apps of one entry. `lifespan` is None when the app runs its own lifespan."""

    app: App
    lifespan: Lifespan | None
    # Whether an MCP client finds something at /mcp.
    speaks_mcp: bool
    sse_app: App | None = None
    # Paths that the app answers only with a slash at the end.
    mount_paths: frozenset[str] = field(default=frozenset())

    def app_for(self, path: str) -> App:
        if self.sse_app is not None and (path == SSE_PATH or path.startswith(MESSAGES_PATH)):
            return self.sse_app
        return self.app

    def canonical_path(self, path: str) -> str:
        """The path that the apps know, so that no client has to follow a redirect."""
        if self.sse_app is None:
            return path + "/" if path in self.mount_paths else path
        if path in (MCP_PATH + "/", SSE_PATH + "/"):
            return path.rstrip("/")
        return MESSAGES_PATH if path == MESSAGES_PATH.rstrip("/") else path


def build(entry: Entry, options: Mapping[str, Any]) -> Served:
    """The apps for an entry; `options` are the arguments of the run call that was captured."""
    server = entry.value
    if entry.kind is Kind.ASGI:
        # Nothing to add: a mounted MCP app brings its own paths.
        return Served(server, None, _answers_mcp(server), mount_paths=_mount_paths(server))
    if entry.kind is Kind.LOWLEVEL:
        return _build_lowlevel(server)
    if entry.kind is Kind.SDK_FASTMCP:
        http, sse = _build_sdk_fastmcp(server)
    elif entry.kind is Kind.SDK_MCPSERVER:
        http, sse = _build_mcpserver(server, options)
    else:
        http, sse = _build_fastmcp(server, options)
    return Served(http, _both_lifespans(http, sse), True, sse_app=sse)


def _build_sdk_fastmcp(server: Any) -> tuple[Any, Any]:
    settings = server.settings
    settings.transport_security = _no_host_check()
    settings.streamable_http_path = MCP_PATH
    settings.sse_path = SSE_PATH
    settings.message_path = MESSAGES_PATH
    # The prefix comes with each request as root_path; a mount path would put it there twice.
    return server.streamable_http_app(), server.sse_app("/")


def _build_mcpserver(server: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    security = _no_host_check()
    http = server.streamable_http_app(
        streamable_http_path=MCP_PATH, transport_security=security, **_only(options, _MCPSERVER_OPTIONS)
    )
    sse = server.sse_app(sse_path=SSE_PATH, message_path=MESSAGES_PATH, transport_security=security)
    return http, sse


def _build_fastmcp(server: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    fastmcp = importlib.import_module("fastmcp")
    fastmcp.settings.message_path = MESSAGES_PATH
    known = inspect.signature(server.http_app).parameters
    open_to_all = {"host_origin_protection": False} if "host_origin_protection" in known else {}
    accepted = {name: value for name, value in _only(options, _FASTMCP_OPTIONS).items() if name in known}
    http = server.http_app(path=MCP_PATH, transport="http", **open_to_all, **accepted)
    middleware = {name: value for name, value in accepted.items() if name == "middleware"}
    sse = server.http_app(path=SSE_PATH, transport="sse", **open_to_all, **middleware)
    return http, sse


def _build_lowlevel(server: Any) -> Served:
    manager_module = importlib.import_module("mcp.server.streamable_http_manager")
    sse_module = importlib.import_module("mcp.server.sse")
    security = _no_host_check()
    manager = manager_module.StreamableHTTPSessionManager(app=server, security_settings=security)
    transport = sse_module.SseServerTransport(MESSAGES_PATH, security_settings=security)

    async def http(scope: Scope, receive: Receive, send: Send) -> None:
        if _path_in_app(scope) == MCP_PATH:
            await manager.handle_request(scope, receive, send)
        else:
            await _refuse(send, 404, b"Not Found")

    async def sse(scope: Scope, receive: Receive, send: Send) -> None:
        if _path_in_app(scope) != SSE_PATH:
            await transport.handle_post_message(scope, receive, send)
        elif scope["method"] != "GET":
            await _refuse(send, 405, b"Method Not Allowed")
        else:
            async with transport.connect_sse(scope, receive, send) as (read_stream, write_stream):
                await server.run(read_stream, write_stream, server.create_initialization_options())

    return Served(http, manager.run, True, sse_app=sse)


def _both_lifespans(http: Any, sse: Any) -> Lifespan:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            # HTTP first: its session manager has to outlive what the SSE app starts.
            await stack.enter_async_context(http.router.lifespan_context(http))
            await stack.enter_async_context(sse.router.lifespan_context(sse))
            yield

    return lifespan


def _no_host_check() -> Any:
    security = importlib.import_module("mcp.server.transport_security")
    return security.TransportSecuritySettings(enable_dns_rebinding_protection=False)


def _only(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


def _path_in_app(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _refuse(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _routes(app: Any) -> list[Any]:
    routes = getattr(app, "routes", None)
    return list(routes) if isinstance(routes, (list, tuple)) else []


def _mount_paths(app: Any) -> frozenset[str]:
    """Paths of mounts at the top, without those that also have a route of their own."""
    routes = _routes(app)
    exact = {getattr(route, "path", None) for route in routes if not hasattr(route, "app") or hasattr(route, "endpoint")}
    mounts = {getattr(route, "path", "") for route in routes if hasattr(route, "app") and not hasattr(route, "endpoint")}
    return frozenset(path for path in mounts if isinstance(path, str) and path and path not in exact)


def _answers_mcp(app: Any, base: str = "") -> bool:
    """Whether one of the SDKs' streamable HTTP endpoints sits at /mcp in the user's app."""
    for route in _routes(app):
        path = base + str(getattr(route, "path", ""))
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None:
            # An endpoint that demands a login wraps the one that answers.
            inner = getattr(endpoint, "app", endpoint)
            if path.rstrip("/") == MCP_PATH and type(inner).__name__ == "StreamableHTTPASGIApp":
                return True
        elif _answers_mcp(getattr(route, "app", None), path):
            return True
    return False
