"""The contract between EMCP and the container: settings in, report lines and exit codes out.

Knows nothing of MCP, of Python environments or of how a server is found.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

Runtime = Literal["mcp1", "mcp2"]
RuntimeChoice = Literal["auto", "mcp1", "mcp2"]

USER_FILE = Path("/app/user_code/server.py")
# The file is run as Python runs a script, so that what it does under its guard happens here too.
# dataclasses, pydantic and pickle look the module up under this name.
MODULE_NAME = "__main__"
# Where the file runs: a copy, writable, that ends with the container. Nothing beside the original is.
WORK_DIR = Path("/tmp/server")
# The variable that names the place that lasts, of a server that has storage.
DATA_VARIABLE = "EMCP_DATA"
DEFAULT_ENTRY_OBJECT = "mcp"
DEFAULT_PORT = 8000
MAX_MESSAGE_CHARS = 2000

EXIT_CODES: dict[str, int] = {
    "syntax_error": 70,
    "import_error": 71,
    "missing_dependency": 72,
    "no_entry_object": 73,
    "bad_entry_object": 74,
    "serve_failed": 75,
    "code_not_found": 76,
    "bad_contract": 77,
}

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_GATEWAY_KEY = re.compile(r"[!-~]+")


class Failure(Exception):
    """A reason not to serve, in words for the developer whose file it is."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        line: int | None = None,
        trace: str = "",
        args: Mapping[str, str | bool] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.trace = trace
        # What the message names, for who says it in another language.
        self.named = args

    def report(self) -> str:
        """The single JSON line that EMCP reads from standard error."""
        event: dict[str, Any] = {
            "event": "failed",
            "code": self.code,
            "message": self.message[:MAX_MESSAGE_CHARS],
            "line": self.line,
            "file": USER_FILE.name if self.line is not None else None,
        }
        if self.named is not None:
            event["args"] = dict(self.named)
        return json.dumps({"emcp": event}, ensure_ascii=False)


@dataclass(frozen=True)
class Settings:
    server_name: str
    path_prefix: str
    entry_object: str
    runtime: RuntimeChoice
    gateway_key: str
    port: int
    # The file's `sys.argv[1:]`.
    arguments: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Reads the `EMCP_*` variables, or says what is wrong with one of them."""
        name = env.get("EMCP_SERVER_NAME") or "server"
        if not _NAME.fullmatch(name):
            raise Failure("bad_contract", f"EMCP_SERVER_NAME is not a server name: {name!r}")
        prefix = env.get("EMCP_PATH_PREFIX", "")
        if not _PATH_PREFIX.fullmatch(prefix):
            raise Failure(
                "bad_contract",
                f"EMCP_PATH_PREFIX must be empty or like /api/demo, without a slash at the end: {prefix!r}",
            )
        entry = env.get("EMCP_ENTRY_OBJECT") or DEFAULT_ENTRY_OBJECT
        if not entry.isidentifier():
            raise Failure("bad_contract", f"EMCP_ENTRY_OBJECT is not a Python name: {entry!r}")
        runtime = env.get("EMCP_RUNTIME") or "auto"
        if runtime not in ("auto", "mcp1", "mcp2"):
            raise Failure("bad_contract", f"EMCP_RUNTIME must be auto, mcp1 or mcp2: {runtime!r}")
        # The key's own characters never appear in a message: messages are logged.
        key = env.get("EMCP_GATEWAY_KEY", "")
        if key and not _GATEWAY_KEY.fullmatch(key):
            raise Failure("bad_contract", "EMCP_GATEWAY_KEY may only hold visible ASCII characters")
        port_text = env.get("EMCP_PORT") or str(DEFAULT_PORT)
        if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= 65535):
            raise Failure("bad_contract", f"EMCP_PORT must be a number from 1 to 65535: {port_text!r}")
        arguments = _arguments(env.get("EMCP_ARGS") or "[]")
        return cls(name, prefix, entry, runtime, key, int(port_text), arguments)


def data_dir() -> Path | None:
    """What outlives the container, where the server has storage."""
    place = os.environ.get(DATA_VARIABLE)
    return Path(place) if place else None


def _arguments(text: str) -> tuple[str, ...]:
    """`EMCP_ARGS`, a JSON array of strings."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) and "\0" not in item for item in found):
        raise Failure("bad_contract", "EMCP_ARGS must be a JSON array of strings")
    return tuple(found)


def log(text: str) -> None:
    """One plain line for whoever reads the server's log."""
    _write_stderr(f"emcp: {text}\n")


def report_ready(fields: Mapping[str, Any]) -> None:
    _write_stderr(json.dumps({"emcp": {"event": "ready", **fields}}, ensure_ascii=False) + "\n")


def exit_with(failure: Failure) -> NoReturn:
    """Reports the failure and ends the process at once.

    The user's file may have started threads or may catch every exception, so nothing softer than
    `os._exit` is sure to end the process with the code that was promised.
    """
    flush_output()
    _write_stderr(failure.report() + "\n")
    if failure.trace:
        _write_stderr(failure.trace.rstrip("\n") + "\n")
    os._exit(EXIT_CODES[failure.code])


def flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # The user's file may have closed or replaced the stream; there is nothing left to save.
            pass


def _write_stderr(text: str) -> None:
    # Written to the descriptor, since the user's file may have replaced sys.stderr.
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(2, data) :]
