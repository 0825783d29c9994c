"""Finds the object to serve among what the user's module holds.

Objects are recognised by the names of their classes, so nothing is imported to ask. Serves nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, Protocol, TypeVar

from . import endpoints
from .contract import DEFAULT_ENTRY_OBJECT, Failure
from .source import Source


class Kind(Enum):
    SDK_FASTMCP = "FastMCP server"
    SDK_MCPSERVER = "MCPServer"
    FASTMCP = "fastmcp server"
    LOWLEVEL = "low-level Server"
    ASGI = "ASGI app"

    @property
    def public_name(self) -> str:
        """The kind as the health answer names it."""
        return _PUBLIC_NAMES[self]


_PUBLIC_NAMES = {
    Kind.SDK_FASTMCP: "fastmcp",
    Kind.FASTMCP: "fastmcp",
    Kind.SDK_MCPSERVER: "mcpserver",
    Kind.LOWLEVEL: "lowlevel",
    Kind.ASGI: "asgi",
}

_CLASSES = {
    ("mcp.server.fastmcp.server", "FastMCP"): Kind.SDK_FASTMCP,
    ("mcp.server.mcpserver.server", "MCPServer"): Kind.SDK_MCPSERVER,
    ("fastmcp.server.server", "FastMCP"): Kind.FASTMCP,
    ("mcp.server.lowlevel.server", "Server"): Kind.LOWLEVEL,
    ("starlette.applications", "Starlette"): Kind.ASGI,
}

# Names that the command lines of the SDKs and of uvicorn look for, used to settle between several.
_CONVENTIONAL_NAMES = ("mcp", "server", "app", "application", "api")


@dataclass(frozen=True)
class Entry:
    name: str
    value: Any
    kind: Kind

    @property
    def is_app(self) -> bool:
        return self.kind is Kind.ASGI


def kind_of(value: object) -> Kind | None:
    """What the object can be served as, or None."""
    if isinstance(value, (type, ModuleType)):
        return None
    for cls in type(value).__mro__:
        kind = _CLASSES.get((cls.__module__, cls.__qualname__))
        if kind is not None:
            return kind
    call = value if inspect.isfunction(value) else getattr(type(value), "__call__", None)
    return Kind.ASGI if call is not None and _is_asgi_callable(call) else None


class Candidate(Protocol):
    """Something that could be served, known by its name: an object, or what the file's text says of one."""

    @property
    def name(self) -> str: ...
    @property
    def is_app(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


def settle(candidates: Sequence[C], run_names: Set[str]) -> C | None:
    """Which of several is meant, where no name was chosen; None when nothing tells.

    The check of a file and its start ask this same question, the one of the text and the other of
    the objects, so that they cannot contradict each other.
    """
    servers = [candidate for candidate in candidates if not candidate.is_app]
    apps = [candidate for candidate in candidates if candidate.is_app]
    eligible = servers or apps
    if len(eligible) == 1:
        return eligible[0]
    for preferred in (
        [candidate for candidate in eligible if candidate.name in run_names],
        # An app beside several servers is what holds them together.
        apps if servers else [],
        [candidate for name in _CONVENTIONAL_NAMES for candidate in eligible if candidate.name == name][:1],
    ):
        if len(preferred) == 1:
            return preferred[0]
    return None


def find(namespace: Mapping[str, Any], wanted: str, source: Source) -> Entry | None:
    """The object to serve: the wanted name, else the only candidate; None when there is none at all.

    A name that holds None is no choice: it waits for something that did not happen.
    """
    candidates = _distinct(namespace)
    # An app that answers MCP holds its server; what the file put around it is served with it.
    whole = [entry for entry in candidates if entry.is_app and endpoints.answers_mcp(entry.value)]
    if wanted == DEFAULT_ENTRY_OBJECT and len(whole) == 1:
        return whole[0]
    if namespace.get(wanted) is not None:
        return _under_wanted_name(namespace, wanted, source)
    if not candidates:
        return None
    chosen = settle(candidates, source.names_that_are_run())
    if chosen is not None:
        return chosen
    listing = ", ".join(f"{entry.name} ({entry.kind.value})" for entry in candidates)
    raise Failure(
        "bad_entry_object",
        f"the file has no '{wanted}' and several objects could be served: {listing}; "
        "set the entry object to one of these names",
        line=source.line_of(candidates[0].name),
    )


def main_function(namespace: Mapping[str, Any]) -> Any | None:
    """The module's `main`, as a console script would call it, if it can be called without arguments."""
    value = namespace.get("main")
    if inspect.isfunction(value):
        return value if value.__module__ == namespace.get("__name__") and not _required_parameters(value) else None
    # A click command takes its arguments from the command line, which is empty here.
    is_command = value is not None and type(value).__module__.split(".")[0] == "click"
    return value if is_command and callable(value) else None


def missing(namespace: Mapping[str, Any], wanted: str) -> Failure:
    found = sorted(
        f"{name} ({type(value).__name__})"
        for name, value in namespace.items()
        if not name.startswith("_")
        and not isinstance(value, (type, ModuleType))
        and not inspect.isroutine(value)
        and getattr(type(value), "__module__", "") not in ("typing", "__future__")
    )
    listing = f"found: {', '.join(found[:20])}" if found else "the file defines no objects"
    return Failure(
        "no_entry_object",
        f"there is no MCP server or ASGI app named '{wanted}', nor any other, in the file; {listing}",
    )


def of_running(value: Any, namespace: Mapping[str, Any], wanted: str) -> Entry | None:
    """The entry when the file itself runs `value`, in place of the file's own choice of transport.

    What the file runs is what it means to serve, unless a name was chosen and holds something else.
    """
    kind = kind_of(value)
    named = namespace.get(wanted)
    named_kind = kind_of(named)
    if named_kind is not None and named is not value and (wanted != DEFAULT_ENTRY_OBJECT or kind is None):
        return Entry(wanted, named, named_kind)
    if kind is None:
        return None
    name = next((name for name, other in namespace.items() if other is value), f"{type(value).__name__} in a function")
    return Entry(name, value, kind)


def _under_wanted_name(namespace: Mapping[str, Any], wanted: str, source: Source) -> Entry | None:
    value = namespace[wanted]
    kind = kind_of(value)
    if kind is None and inspect.isfunction(value):
        value = _call_factory(value, wanted, source)
        kind = kind_of(value)
    if kind is not None:
        return Entry(wanted, value, kind)
    if wanted == DEFAULT_ENTRY_OBJECT and isinstance(value, ModuleType):
        # `import mcp` binds the default name to the package; that is no choice of an entry object.
        return find({name: other for name, other in namespace.items() if name != wanted}, wanted, source)
    raise Failure(
        "bad_entry_object",
        f"'{wanted}' is of type {type(value).__name__}, which can't be served; "
        "an MCP server (FastMCP, MCPServer, Server) or an ASGI app (FastAPI, Starlette) is needed",
        line=source.line_of(wanted),
    )


def _call_factory(function: Any, wanted: str, source: Source) -> Any:
    if _required_parameters(function):
        raise Failure(
            "bad_entry_object",
            f"'{wanted}' is a function; only a function without required parameters can make the server",
            line=source.line_of(wanted),
        )
    made = function()
    return asyncio.run(made) if inspect.iscoroutine(made) else made


def _required_parameters(function: Any) -> list[str]:
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _distinct(namespace: Mapping[str, Any]) -> list[Entry]:
    entries: list[Entry] = []
    for name, value in namespace.items():
        # Functions with ASGI's signature are only taken under the name that was asked for.
        if name.startswith("__") or inspect.isroutine(value):
            continue
        kind = kind_of(value)
        if kind is not None and not any(entry.value is value for entry in entries):
            entries.append(Entry(name, value, kind))
    return entries


def _is_asgi_callable(function: Any) -> bool:
    if not inspect.iscoroutinefunction(function):
        return False
    names = [name for name in _parameter_names(function) if name != "self"]
    return names[:3] == ["scope", "receive", "send"]


def _parameter_names(function: Any) -> Iterable[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
