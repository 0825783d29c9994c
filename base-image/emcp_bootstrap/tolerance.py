"""Lets files run that were written for a somewhat older SDK, and keeps what a tool does wrong its own.

Patches classes right after their modules are imported, like `capture`.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from . import capture
from .contract import log
from .explain import ended_in, hint_of_place

# Arguments that version 2 of fastmcp took and later ones refuse. These said where to listen or how much
# to log, which is EMCP's to say; dropping them changes no answer.
_DROPPED = frozenset(
    {"host", "port", "debug", "log_level", "sse_path", "message_path", "streamable_http_path", "dependencies"}
)
# These are arguments of the run call now.
_MOVED_TO_RUN = frozenset({"json_response", "stateless_http"})
_ON_DUPLICATE = ("on_duplicate_tools", "on_duplicate_resources", "on_duplicate_prompts")

_TRANSPORT_LOGGERS = ("mcp.server.streamable_http", "mcp.server.streamable_http_manager", "mcp.server.sse")
# What anyio raises in a task that reads from a stream which another task has closed.
_CLEAN_ENDS = frozenset({"ClosedResourceError", "BrokenResourceError"})

# Set on a server: what its constructor was given for the run call.
RUN_OPTIONS = "_emcp_run_options"


def install(user_file: Path) -> None:
    calls = functools.partial(_keep_ends_inside, user_file)
    capture.patch_on_import(
        {
            "fastmcp.server.server": lambda module: _mend_fastmcp(module, calls),
            "mcp.server.fastmcp.tools.base": lambda module: calls(module.Tool, "run"),
            "mcp.server.mcpserver.tools.base": lambda module: calls(module.Tool, "run"),
        }
    )
    _quiet_clean_ends()


def _mend_fastmcp(module: ModuleType, keep_ends_inside: Callable[[Any, str], None]) -> None:
    _accept_old_arguments(module.FastMCP)
    keep_ends_inside(module.FastMCP, "call_tool")


def _accept_old_arguments(cls: Any) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        dropped = [name for name in kwargs if name in _DROPPED]
        moved = {name: kwargs[name] for name in kwargs if name in _MOVED_TO_RUN and kwargs[name] is not None}
        duplicates = [name for name in _ON_DUPLICATE if name in kwargs]
        kept = {
            name: value
            for name, value in kwargs.items()
            if name not in _DROPPED and name not in _MOVED_TO_RUN and name not in duplicates
        }
        choices = {kwargs[name] for name in duplicates if kwargs[name] is not None}
        if len(choices) == 1:
            kept.setdefault("on_duplicate", choices.pop())
        if dropped:
            log(f"warning: FastMCP() no longer takes {', '.join(dropped)}; ignored")
        if moved:
            log(f"warning: FastMCP() no longer takes {', '.join(moved)}; taken as if given to run()")
        if duplicates:
            log(f"warning: FastMCP() no longer takes {', '.join(duplicates)}; on_duplicate= is what replaced them")
        original(self, *args, **kept)
        setattr(self, RUN_OPTIONS, moved)

    cls.__init__ = __init__


def _keep_ends_inside(user_file: Path, cls: Any, name: str) -> None:
    """A tool that ends the program fails its call alone, and one that writes where it may not is told where it may."""
    original: Callable[..., Awaitable[Any]] = getattr(cls, name)

    @functools.wraps(original)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        except SystemExit as end:
            message = ended_in(end, user_file)
            log(message)
            raise _tool_error(cls)(message) from end
        except Exception as error:
            hint = hint_of_place(error)
            if hint and hint not in str(error):
                raise _tool_error(cls)(f"{error}{hint}") from error
            raise

    setattr(cls, name, call)


def _tool_error(cls: Any) -> type[Exception]:
    """The error that the SDK of this class passes on to the client in its own words."""
    package = cls.__module__.split(".")
    place = "fastmcp.exceptions" if package[0] == "fastmcp" else ".".join([*package[:3], "exceptions"])
    error: type[Exception] = importlib.import_module(place).ToolError
    return error


def _quiet_clean_ends() -> None:
    for name in _TRANSPORT_LOGGERS:
        logging.getLogger(name).addFilter(_is_no_clean_end)


def _is_no_clean_end(record: logging.LogRecord) -> bool:
    """False for the traceback that SDKs write when a client ends its session as it should."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or type(error).__name__ not in _CLEAN_ENDS:
        return True
    logging.getLogger(record.name).debug("a stream was closed with its session (%s)", record.getMessage())
    return False
