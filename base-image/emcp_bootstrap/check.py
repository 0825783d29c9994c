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

from . import distributions, environments, source
from .contract import Failure, RuntimeChoice
from .environments import Environment
from .entry import settle
from .source import Source

_SERVERS = frozenset({"FastMCP", "MCPServer", "Server", "as_proxy", "create_proxy", "from_openapi", "from_fastapi"})
_APPS = frozenset(
    {"FastAPI", "Starlette", "streamable_http_app", "sse_app", "http_app", "CORSMiddleware", "create_streamable_http_app"}
)


# What can be wrong, in words. The dashboard has them in Chinese too.
_MESSAGES = {
    "module_not_available": "the module {module} is not in the image: ask whoever runs this platform to add the package {distribution}, or do without; files beside this one are not uploaded",
    "own_module": "the module {module} is not there: one file alone is uploaded, so put what a file of your own project has into it; if it is the package {distribution}, ask whoever runs this platform to add it",
    "relative_import": "a relative import finds nothing: this one file is uploaded, without the modules beside it",
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


@dataclass(frozen=True)
class _Named:
    name: str
    is_app: bool


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
    found = _named(code)
    problems = [
        *_relative_imports(code),
        *_missing_modules(code, installed[choice.runtime]),
        *_entry_problems(code, found, entry_object, installed[choice.runtime]),
    ]
    return {
        "runtime": choice.runtime,
        "entry_objects": [candidate.name for candidate in found],
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


def _relative_imports(code: Source) -> Iterator[Problem]:
    for node in code.tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield _problem("error", "relative_import", node.lineno)


def _missing_modules(code: Source, environment: Environment) -> Iterator[Problem]:
    for item in code.imports:
        package = item.module.split(".")[0]
        if item.optional or package in sys.stdlib_module_names or environment.has_package(package):
            continue
        code_word = "own_module" if distributions.looks_like_own(package) else "module_not_available"
        name = distributions.distribution_of(package)
        yield _problem("warning", code_word, item.line, module=package, distribution=name)


def _entry_problems(
    code: Source, found: list[_Named], entry_object: str, environment: Environment
) -> Iterator[Problem]:
    """What keeps the start from finding something to serve, as far as the text can tell.

    The start runs the file and asks `settle` of the objects; here it is asked of the text. Where the
    file serves by itself, or something in it could make a server that the text does not show, nothing
    is said: only the start knows.
    """
    if code.line_of(entry_object) is not None or code.runs_something:
        return
    if found:
        if settle(found, code.names_that_are_run()) is None:
            names = ", ".join(candidate.name for candidate in found)
            yield _problem("error", "entry_not_found", entry_object=entry_object, found=names)
    elif not _could_make_one(code, environment):
        yield _problem("error", "no_entry", entry_object=entry_object)


def _could_make_one(code: Source, environment: Environment) -> bool:
    """Whether a call or a package in the file may give a server under no name that is seen here."""
    if any(_made_by(node) for node in ast.walk(code.tree)):
        return True
    if any(isinstance(node, ast.AsyncFunctionDef) and _is_asgi(node) for node in ast.walk(code.tree)):
        return True
    packages = {item.module.split(".")[0] for item in code.imports} - sys.stdlib_module_names
    return any(environment.has_package(package) for package in packages)


def _is_asgi(node: ast.AsyncFunctionDef) -> bool:
    names = [argument.arg for argument in node.args.args if argument.arg != "self"]
    return names[:3] == ["scope", "receive", "send"]


def _problem(severity: Literal["error", "warning"], code: str, line: int | None = None, **args: str) -> Problem:
    return Problem(severity, code, _MESSAGES[code].format(**args), line, args=args or None)


def _named(code: Source) -> list[_Named]:
    """Names at the top level that are bound to a server or an app, in the order of the file."""
    found: dict[str, _Named] = {}
    for node in code.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        maker = _made_by(value) if value is not None else None
        for target in targets:
            if maker and isinstance(target, ast.Name):
                found.setdefault(target.id, _Named(target.id, maker in _APPS))
    return list(found.values())


def _made_by(node: ast.AST) -> str | None:
    """The name of what is called, if it is known to make a server or an app."""
    if not isinstance(node, ast.Call):
        return None
    called = node.func
    # Also generic ones: Server[State](...).
    if isinstance(called, ast.Subscript):
        called = called.value
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name if name in _SERVERS or name in _APPS else None
