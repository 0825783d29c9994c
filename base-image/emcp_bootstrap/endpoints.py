"""Where in a user's own ASGI app the MCP endpoints are.

An app that a file puts around its server is served whole. What it answers is read from its routes, by
the names of classes, so nothing is imported to ask. An app without routes to read answers nothing
that could be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MCP_PATH = "/mcp"

# Middleware around middleware around an app; a real one is a few deep.
_DEPTH_MAX = 20


@dataclass(frozen=True)
class Endpoint:
    # Below the app, as in /mcp.
    path: str
    # Where the object with the route is mounted; empty at the top.
    base: str
    is_sse: bool
    # The object with the route, and what answers: a login in between makes it another.
    holder: Any
    answerer: Any
    is_guarded: bool


def of(app: Any) -> list[Endpoint]:
    """Every MCP endpoint that can be seen."""
    return list(_below(app, "", 0))


def answers_mcp(app: Any) -> bool:
    """Whether an MCP client finds something at /mcp."""
    return any(endpoint.path == MCP_PATH and not endpoint.is_sse for endpoint in of(app))


def routes_of(app: Any) -> list[Any]:
    """The routes at the app's top, also through middleware that was put around it."""
    holder = holder_of(app)
    return list(holder.routes) if holder is not None else []


def holder_of(app: Any) -> Any:
    """The Starlette-like object that has the routes."""
    for _ in range(_DEPTH_MAX):
        if isinstance(getattr(app, "routes", None), (list, tuple)):
            return app
        app = getattr(app, "app", None)
        if app is None:
            return None
    return None


def _below(app: Any, base: str, depth: int) -> Iterator[Endpoint]:
    holder = holder_of(app)
    if holder is None or depth > _DEPTH_MAX:
        return
    for route in holder.routes:
        path = base + str(getattr(route, "path", ""))
        endpoint = getattr(route, "endpoint", None)
        # An endpoint that demands a login wraps the one that answers.
        answerer = getattr(endpoint, "app", endpoint)
        if endpoint is not None and type(answerer).__name__ == "StreamableHTTPASGIApp":
            yield Endpoint(path.rstrip("/") or "/", base.rstrip("/"), False, holder, answerer, answerer is not endpoint)
        elif endpoint is None:
            mounted = getattr(route, "app", None)
            if _is_message_handler(mounted):
                yield Endpoint(path.rstrip("/"), base.rstrip("/"), True, holder, mounted, False)
            else:
                yield from _below(mounted, path, depth + 1)


def _is_message_handler(app: Any) -> bool:
    """Where the SDKs' SSE transport takes its messages."""
    inner = getattr(app, "app", app)
    return any(
        type(getattr(handler, "__self__", None)).__name__ == "SseServerTransport" for handler in (app, inner)
    )
