"""Takes the place of the calls by which a user's file would serve itself.

A file that calls `mcp.run()` or `uvicorn.run(app)` keeps its meaning: the call blocks and serves,
only the address, the paths and the transports are the container's. What the file opened around the
call (`async with`, background tasks) stays open while serving, and its clean-up runs afterwards.

The methods are replaced when their modules are imported, so a file that uses no SDK imports none.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, Protocol

from .contract import MODULE_NAME


class Host(Protocol):
    """What serves the captured object."""

    def is_own_server(self, uvicorn_server: Any) -> bool: ...
    def serve_blocking(self, value: Any, options: Mapping[str, Any]) -> None: ...
    def serve_async(self, value: Any, options: Mapping[str, Any]) -> Coroutine[Any, Any, None]: ...


class _StandardIO:
    """Stands for the streams of a stdio transport that is never opened."""


Patch = Callable[[ModuleType], None]


def install(host: Host) -> None:
    """From now on, a file that would serve itself is served by the host."""
    patch_on_import(_patches(host))


def patch_on_import(patches: Mapping[str, Patch]) -> None:
    """From now on, these modules are patched right after they are imported."""
    sys.meta_path.insert(0, _PatchingFinder(patches))


class _PatchingFinder(importlib.abc.MetaPathFinder):
    def __init__(self, patches: Mapping[str, Patch]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patch = self._patches.get(fullname)
        if patch is None:
            return None
        # By way of the finders behind this one: another may have a patch of its own for the module.
        spec = self._found_by_others(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            patch(module)

        setattr(spec.loader, "exec_module", exec_module)
        return spec

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        behind = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(fullname, path, target) for finder in behind)
        return next((spec for spec in specs if spec is not None), None)


def _patches(host: Host) -> dict[str, Patch]:
    sdk_methods = ("run_stdio_async", "run_sse_async", "run_streamable_http_async")
    return {
        "mcp.server.fastmcp.server": lambda module: _capture_runs(host, module.FastMCP, ("run",), sdk_methods),
        "mcp.server.mcpserver.server": lambda module: _capture_runs(host, module.MCPServer, ("run",), sdk_methods),
        "fastmcp.server.mixins.transport": lambda module: _capture_runs(
            host, module.TransportMixin, ("run",), ("run_async", "run_stdio_async", "run_http_async")
        ),
        "mcp.server.lowlevel.server": lambda module: _capture_lowlevel(host, module.Server),
        "mcp.server.stdio": _replace_stdio,
        "mcp.server.transport_security": _switch_off_host_check,
        "uvicorn.server": lambda module: _capture_uvicorn_server(host, module.Server),
        "uvicorn.main": lambda module: _capture_uvicorn_run(host, module),
    }


def _capture_runs(host: Host, cls: Any, blocking: Sequence[str], asynchronous: Sequence[str]) -> None:
    for name in blocking:
        setattr(cls, name, _blocking_run(host, getattr(cls, name)))
    for name in asynchronous:
        if hasattr(cls, name):
            setattr(cls, name, _async_run(host, getattr(cls, name)))


def _blocking_run(host: Host, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return host.serve_blocking(self, _bound(original, self, args, kwargs))

    return run


def _async_run(host: Host, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await host.serve_async(self, _bound(original, self, args, kwargs))

    return run


def _bound(original: Callable[..., Any], owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name. What does not fit raises the TypeError that Python would raise."""
    signature = inspect.signature(original)
    given = signature.bind(owner, *args, **kwargs).arguments
    options: dict[str, Any] = {}
    for name, parameter in list(signature.parameters.items())[1:]:
        if name not in given:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            options.update(given[name])
        else:
            options[name] = given[name]
    return options


def _capture_lowlevel(host: Host, cls: Any) -> None:
    original = cls.run

    @functools.wraps(original)
    async def run(self: Any, read_stream: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(read_stream, _StandardIO):
            return await host.serve_async(self, {})
        return await original(self, read_stream, *args, **kwargs)

    cls.run = run


def _replace_stdio(module: ModuleType) -> None:
    @functools.wraps(module.stdio_server)
    @asynccontextmanager
    async def stdio_server(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        yield _StandardIO(), _StandardIO()

    setattr(module, "stdio_server", stdio_server)


def _switch_off_host_check(module: ModuleType) -> None:
    """The gate checks Host and Origin once for every kind; the SDKs only know localhost."""

    def accept(self: Any, value: str | None) -> bool:
        return True

    module.TransportSecurityMiddleware._validate_host = accept
    module.TransportSecurityMiddleware._validate_origin = accept


def _capture_uvicorn_server(host: Host, cls: Any) -> None:
    original_run, original_serve = cls.run, cls.serve

    @functools.wraps(original_run)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if host.is_own_server(self):
            return original_run(self, *args, **kwargs)
        return host.serve_blocking(_app_of(self.config), {})

    @functools.wraps(original_serve)
    async def serve(self: Any, *args: Any, **kwargs: Any) -> Any:
        if host.is_own_server(self):
            return await original_serve(self, *args, **kwargs)
        return await host.serve_async(_app_of(self.config), {})

    cls.run, cls.serve = run, serve


def _capture_uvicorn_run(host: Host, module: ModuleType) -> None:
    original = module.run

    @functools.wraps(original)
    def run(app: Any, *args: Any, **kwargs: Any) -> Any:
        return host.serve_blocking(_resolve_app(app, bool(kwargs.get("factory"))), kwargs)

    setattr(module, "run", run)


def _app_of(config: Any) -> Any:
    return _resolve_app(config.app, bool(getattr(config, "factory", False)))


def _resolve_app(app: Any, factory: bool) -> Any:
    """The object behind `module:name`; the module is the user's file whatever it was called before."""
    if isinstance(app, str):
        module_name, _, attribute = app.partition(":")

        holder: Any = sys.modules.get(MODULE_NAME)
        if holder is None or not hasattr(holder, attribute.split(".")[0]):
            holder = importlib.import_module(module_name)
        for part in (attribute or "app").split("."):
            holder = getattr(holder, part)
        app = holder
    return app() if factory else app
