"""Says what is wrong with a file before it is started. Reads it, never runs it.

Finds what the syntax tree shows. A file without problems here can still fail when it is loaded.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from . import environments, source
from .contract import Failure, RuntimeChoice
from .environments import Environment
from .source import Source

_CONSTRUCTORS = frozenset({"FastMCP", "MCPServer", "Server", "FastAPI", "Starlette"})


# What can be wrong, in words. The dashboard has them in Chinese too.
_MESSAGES = {
    "module_not_available": "the module {module} is not in the image; ask for it to be added, or do without",
    "entry_not_found": "there is no object {entry_object}, but {found}: set the entry object to the one to serve",
    "no_entry": "the file makes no MCP server; it needs, for example, {entry_object} = FastMCP(...)",
}


@dataclass(frozen=True)
class Problem:
    """Lines and columns count from 1; the end is exclusive, as Python's `SyntaxError` has it."""

    severity: Literal["error", "warning"]
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    args: dict[str, str] | None = None


def main(path: Path, runtime: RuntimeChoice, entry_object: str) -> None:
    print(json.dumps(check(path, runtime, entry_object, environments.installed()), ensure_ascii=False))


def check(
    path: Path, wanted: RuntimeChoice, entry_object: str, installed: dict[environments.Runtime, Environment]
) -> dict[str, object]:
    """The answer of `POST /api/check`, but for `ok`."""
    try:
        code = source.read(path)
    except Failure as failure:
        return {"runtime": None, "entry_objects": [], "problems": [asdict(_unreadable(failure))]}
    choice = environments.choose(code, wanted, installed)
    servers = _server_names(code)
    problems = [*_missing_modules(code, installed[choice.runtime]), *_entry_problems(code, servers, entry_object)]
    return {
        "runtime": choice.runtime,
        "entry_objects": servers,
        "problems": [asdict(problem) for problem in problems],
    }


def _unreadable(failure: Failure) -> Problem:
    error = failure.__cause__
    if not isinstance(error, SyntaxError):
        return Problem("error", failure.code, failure.message, failure.line)
    # Python gives 0 where it knows no column or end.
    return Problem(
        "error",
        failure.code,
        error.msg,
        error.lineno or None,
        error.offset or None,
        error.end_lineno or None,
        error.end_offset or None,
    )


def _missing_modules(code: Source, environment: Environment) -> Iterator[Problem]:
    for item in code.imports:
        package = item.module.split(".")[0]
        if item.optional or package in sys.stdlib_module_names or environment.has_package(package):
            continue
        yield _problem("warning", "module_not_available", item.line, module=package)


def _entry_problems(code: Source, servers: list[str], entry_object: str) -> Iterator[Problem]:
    if code.line_of(entry_object) is not None or len(servers) == 1:
        return
    if len(servers) > 1:
        yield _problem("error", "entry_not_found", entry_object=entry_object, found=", ".join(servers))
    elif not any(_constructs_server(node) for node in ast.walk(code.tree)):
        yield _problem("error", "no_entry", entry_object=entry_object)


def _problem(severity: Literal["error", "warning"], code: str, line: int | None = None, **args: str) -> Problem:
    return Problem(severity, code, _MESSAGES[code].format(**args), line, args=args)


def _server_names(code: Source) -> list[str]:
    """Names at the top level that are bound to a server, in the order of the file."""
    names: list[str] = []
    for node in code.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and _constructs_server(value):
            names += [target.id for target in targets if isinstance(target, ast.Name) and target.id not in names]
    return names


def _constructs_server(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    # Also generic ones: Server[State](...).
    if isinstance(called, ast.Subscript):
        called = called.value
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name in _CONSTRUCTORS
