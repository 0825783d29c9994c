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

from . import endpoints
from .contract import log
from .endpoints import MCP_PATH, Endpoint
from .entry import Entry, Kind

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[None]]

SSE_PATH = "/sse"
MESSAGES_PATH = "/messages/"
# What EMCP lets through, in bytes (a request's body): the SDKs' own limit is half of it and would come first.
MAX_REQUEST_BODY_BYTES = 8_000_000

# Serving both the old sessions and the revision without sessions needs the SDKs' stateful mode:
# version 2 of the SDK tells them apart by request and keeps no session for the new revision.
_HTTP_OPTIONS = ("json_response", "stateless_http", "event_store", "retry_interval")
_MCPSERVER_OPTIONS = (*_HTTP_OPTIONS, "max_request_body_size", "session_idle_timeout", "max_sessions")
_FASTMCP_OPTIONS = (*_HTTP_OPTIONS, "middleware", "session_idle_timeout")
_SDK_BODY_LIMIT = 4 * 1024 * 1024
# Where a run call would listen, and what its own web server would be: the container's business.
_ADDRESS_OPTIONS = (
    "host", "port", "uds", "fd", "sockets", "mount_path", "root_path", "ssl_keyfile", "ssl_certfile", "uvicorn_config",
    "workers", "reload", "proxy_headers", "forwarded_allow_ips",
)  # fmt: skip
# Under which names a run call is told the path of its endpoint.
_PATH_OPTIONS = ("path", "streamable_http_path", "sse_path")


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
    # Paths that the file gave its endpoint, and where it is.
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_root(self) -> bool:
        """Whether the file itself answers at the top."""
        return any(getattr(route, "path", None) in ("", "/") for route in endpoints.routes_of(self.app))

    def app_for(self, path: str) -> App:
        if self.sse_app is not None and (path == SSE_PATH or path.startswith(MESSAGES_PATH)):
            return self.sse_app
        return self.app

    def canonical_path(self, path: str) -> str:
        """The path that the apps know, so that no client has to follow a redirect."""
        path = self.aliases.get(path.rstrip("/"), path)
        if self.sse_app is None:
            return path + "/" if path in self.mount_paths else path
        if path in (MCP_PATH + "/", SSE_PATH + "/"):
            return path.rstrip("/")
        return MESSAGES_PATH if path == MESSAGES_PATH.rstrip("/") else path


def build(entry: Entry, options: Mapping[str, Any]) -> Served:
    """The apps for an entry; `options` are the arguments of the run call that was captured."""
    server = entry.value
    _tell_ignored(options)
    if entry.kind is Kind.ASGI:
        return _build_app(server)
    if entry.kind is Kind.LOWLEVEL:
        return _build_lowlevel(server)
    if entry.kind is Kind.SDK_FASTMCP:
        http, sse, aliases = _build_sdk_fastmcp(server)
    elif entry.kind is Kind.SDK_MCPSERVER:
        http, sse = _build_mcpserver(server, options)
        aliases = _aliases(options)
    else:
        http, sse = _build_fastmcp(server, options)
        aliases = _aliases(options)
    return Served(http, _both_lifespans(http, sse), True, sse_app=sse, aliases=aliases)


def _tell_ignored(options: Mapping[str, Any]) -> None:
    ignored = [name for name in _ADDRESS_OPTIONS if options.get(name) is not None]
    if ignored:
        log(f"ignored, since EMCP says where the server listens: {', '.join(ignored)}")


def _aliases(options: Mapping[str, Any]) -> dict[str, str]:
    """The paths that the run call gave, which go on leading to its endpoint."""
    is_sse = options.get("transport") == "sse"
    aliases: dict[str, str] = {}
    for name in _PATH_OPTIONS:
        given = options.get(name)
        if isinstance(given, str) and given.startswith("/"):
            goal = SSE_PATH if is_sse or name == "sse_path" else MCP_PATH
            aliases[given.rstrip("/")] = goal
    return {path: goal for path, goal in aliases.items() if path not in (MCP_PATH, SSE_PATH)}


def _build_app(app: Any) -> Served:
    """A user's own app, whole: its routes, its lifespan, its middleware."""
    every = list(endpoints.of(app))
    found = [endpoint for endpoint in every if not endpoint.is_sse]
    chosen = next((endpoint for endpoint in found if endpoint.path == MCP_PATH), found[0] if len(found) == 1 else None)
    # One endpoint at a path of its own is also found where clients look.
    aliases = {MCP_PATH: chosen.path} if chosen is not None and chosen.path != MCP_PATH else {}
    if chosen is not None and len(found) == len(every) and not chosen.is_guarded and not _answers_at(app, SSE_PATH):
        aliases |= _add_sse_beside(chosen)
    return Served(app, None, chosen is not None, mount_paths=_mount_paths(app), aliases=aliases)


def _answers_at(app: Any, path: str) -> bool:
    return any(getattr(route, "path", None) == path for route in endpoints.routes_of(app))


def _add_sse_beside(endpoint: Endpoint) -> dict[str, str]:
    """Gives an app that has the one endpoint the other too, for clients that only know SSE.

    In the object that has the route, so that what the file put around that is around this too; where
    that object is mounted below the top, the answer says under which paths it was put.
    """
    router = getattr(endpoint.holder, "router", endpoint.holder)
    if not hasattr(endpoint.answerer, "session_manager") or not isinstance(getattr(router, "routes", None), list):
        return {}
    routing = importlib.import_module("starlette.routing")
    transport = importlib.import_module("mcp.server.sse").SseServerTransport(
        MESSAGES_PATH, security_settings=_no_host_check(), **_body_limit("mcp.server.sse", "SseServerTransport")
    )
    stream = _SseStream(transport, endpoint.answerer)
    # First, since a mount at the root would take them.
    router.routes[:0] = [
        routing.Route(SSE_PATH, endpoint=stream, methods=["GET"]),
        routing.Mount(MESSAGES_PATH, app=transport.handle_post_message),
    ]
    base = endpoint.base
    return {path.rstrip("/"): base + path for path in (SSE_PATH, MESSAGES_PATH)} if base else {}


class _SseStream:
    """An ASGI endpoint; a class, since Starlette takes functions for handlers of its own kind."""

    def __init__(self, transport: Any, answerer: Any) -> None:
        self._transport = transport
        self._answerer = answerer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # fastmcp makes its session manager when the app's lifespan begins.
        manager = self._answerer.session_manager
        if manager is None:
            raise RuntimeError("the app that holds the MCP server does not run that server's lifespan")
        # The address of the messages is told from the top, as EMCP tells it, and not from a mount.
        from_top = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
        async with self._transport.connect_sse(from_top, receive, send) as (read_stream, write_stream):
            await manager.app.run(read_stream, write_stream, manager.app.create_initialization_options())


def _build_sdk_fastmcp(server: Any) -> tuple[Any, Any, dict[str, str]]:
    settings = server.settings
    aliases = _aliases({name: getattr(settings, name) for name in ("streamable_http_path", "sse_path")})
    settings.transport_security = _no_host_check()
    _raise_body_limit(settings)
    settings.streamable_http_path = MCP_PATH
    settings.sse_path = SSE_PATH
    settings.message_path = MESSAGES_PATH
    # The prefix comes with each request as root_path; a mount path would put it there twice.
    return server.streamable_http_app(), server.sse_app("/"), aliases


def _raise_body_limit(settings: Any) -> None:
    """The SDK's default, unless the file chose another."""
    default = type(settings).model_fields.get("max_request_body_size")
    if default is not None and settings.max_request_body_size == _SDK_BODY_LIMIT:
        settings.max_request_body_size = MAX_REQUEST_BODY_BYTES


def _body_limit(module: str, name: str) -> dict[str, int]:
    """The limit as an argument, for versions of the SDK that take it."""
    target = getattr(importlib.import_module(module), name)
    known = "max_request_body_size" in inspect.signature(target).parameters
    return {"max_request_body_size": MAX_REQUEST_BODY_BYTES} if known else {}


def _build_mcpserver(server: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    security = _no_host_check()
    accepted = {"max_request_body_size": MAX_REQUEST_BODY_BYTES, **_only(options, _MCPSERVER_OPTIONS)}
    http = server.streamable_http_app(streamable_http_path=MCP_PATH, transport_security=security, **accepted)
    sse = server.sse_app(
        sse_path=SSE_PATH,
        message_path=MESSAGES_PATH,
        transport_security=security,
        max_request_body_size=accepted["max_request_body_size"],
    )
    return http, sse


def _build_fastmcp(server: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
    fastmcp = importlib.import_module("fastmcp")
    fastmcp.settings.message_path = MESSAGES_PATH
    known = inspect.signature(server.http_app).parameters
    if options.get("stateless") is not None:
        options = {"stateless_http": options["stateless"], **options}
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
    manager = manager_module.StreamableHTTPSessionManager(
        app=server, security_settings=security, **_body_limit("mcp.server.streamable_http_manager", "StreamableHTTPSessionManager")
    )
    transport = sse_module.SseServerTransport(
        MESSAGES_PATH, security_settings=security, **_body_limit("mcp.server.sse", "SseServerTransport")
    )

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


def _mount_paths(app: Any) -> frozenset[str]:
    """Paths of mounts at the top, without those that also have a route of their own."""
    routes = endpoints.routes_of(app)
    exact = {getattr(route, "path", None) for route in routes if not hasattr(route, "app") or hasattr(route, "endpoint")}
    mounts = {getattr(route, "path", "") for route in routes if hasattr(route, "app") and not hasattr(route, "endpoint")}
    return frozenset(path for path in mounts if isinstance(path, str) and path and path not in exact)
