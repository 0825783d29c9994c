"""What an exception of the user's code means, in words for the developer whose file it is.

Serves nothing and changes nothing.
"""

from __future__ import annotations

import ast
import errno
import importlib.metadata
import os
import re
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import arguments, distributions, newer_python, output
from .contract import WORK_DIR, Failure, Runtime, data_dir
from .environments import Environment, installed

_MISSING_NAME = re.compile(r"cannot import name '([^']+)'")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What is left may be too little for what was to be written.
_ALMOST_NOTHING_BYTES = 1024 * 1024
_NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_SQLITE_PLACES = ("unable to open database file", "attempt to write a readonly database", "database or disk is full")


def explain_exception(error: BaseException, *, user_file: Path, runtime: Runtime) -> Failure:
    """The failure of a file that could not be loaded, with its line and the frames of the user's file."""
    error = _innermost_of_group(error)
    line = user_line(error, user_file)
    trace = _user_traceback(error, user_file)
    if isinstance(error, SystemExit):
        message = _ended_by_itself(error) + arguments.hint(error, user_file)
        return Failure("import_error", message, line=line, trace=trace)
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = newer_python.hint_of_name(error.name, None)
        message = f"no module '{error.name}'{hint}" if hint else _missing_module(error.name, runtime)
        return Failure("missing_dependency", message, line=line, trace=trace)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        message += _hint_of_import(error, runtime)
    else:
        message += hint_of_place(error) or arguments.hint(error, user_file)
    return Failure("import_error", message, line=line, trace=trace)


def hint_of_place(error: BaseException) -> str:
    """Where a server may write, for an error that comes of writing where it may not; else nothing."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return _hint_of_full()
        if isinstance(cause, OSError) and cause.errno in _NOT_WRITABLE:
            return f"; a server may write in its working directory {_places('and in')}"
        if isinstance(cause, sqlite3.OperationalError) and str(cause).startswith(_SQLITE_PLACES):
            if "full" in str(cause):
                return _hint_of_full()
            return f"; a database may lie in the working directory {_places('or in')}; a folder named in its path must exist"
    return ""


def _places(word: str) -> str:
    data = data_dir()
    if data is None:
        return f"({WORK_DIR}) {word} /tmp, which hold little and end with the container; storage gives the server one that lasts"
    return f"({data}), which lasts, {word} /tmp, which ends with the container"


def _hint_of_full() -> str:
    data = data_dir()
    if data is None:
        return (
            f"; {WORK_DIR} and /tmp are full: they hold little, share it, and end with the container; "
            "storage gives the server room that lasts"
        )
    try:
        room = os.statvfs(data)
    except OSError:
        return f"; {data} or /tmp is full"
    if room.f_favail == 0:
        return f"; {data} is full: it holds {room.f_files} files and folders; remove some, or give the server more storage"
    if room.f_bavail * room.f_frsize < _ALMOST_NOTHING_BYTES:
        mebibytes = room.f_blocks * room.f_frsize // (1024 * 1024)
        return f"; {data} is full: it holds {mebibytes} MiB; remove something, or give the server more storage"
    return f"; /tmp is full: it holds little and ends with the container; {data} has room, and lasts"


def ended_in(error: SystemExit, user_file: Path) -> str:
    """What a tool did that ended the program, and where."""
    line = user_line(error, user_file)
    where = f" in line {line}" if line is not None else ""
    return f"the tool tried to end the whole program{where} ({_exit_words(error)}); raise an exception instead"


def user_line(error: BaseException, user_file: Path) -> int | None:
    line: int | None = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(user_file):
            line = frame.lineno
    return line


def _ended_by_itself(error: SystemExit) -> str:
    message = f"the file ended the program itself ({_exit_words(error)}) instead of providing a server"
    last = "" if isinstance(error.code, str) else output.last_line()
    return f"{message}; its last line: {last}" if last else message


def _exit_words(error: SystemExit) -> str:
    if isinstance(error.code, str):
        return f"exit code 1: {error.code.strip()}"
    return f"exit code {0 if error.code is None else error.code}"


def _missing_module(name: str, runtime: Runtime) -> str:
    environments = installed()
    here, other = environments[runtime], environments[_other(runtime)]
    package = name.split(".")[0]
    if other.has_module(name) and not here.has_package(package):
        return f"module '{name}' is not in the environment {runtime} but in {other.runtime}; {_choose(other.runtime)}"
    if other.has_module(name):
        place = f"module '{name}' is not in the environment {runtime} ({package} {_version(package)})"
        return f"{place} but in {other.runtime}; {_choose(other.runtime)}"
    if here.has_package(package):
        return f"package '{package}' {_version(package)} is installed but has no module '{name}'; check the import"
    return distributions.advice(name)


def _choose(runtime: Runtime) -> str:
    return (
        f"set the server's runtime to {runtime}, or, where it is set already or needs the other for something else, "
        "bring the file to one version of the SDK"
    )


def _hint_of_import(error: ImportError, runtime: Runtime) -> str:
    # The name itself is only in the message before Python 3.12.
    wanted = _MISSING_NAME.match(str(error))
    if "attempted relative import" in str(error):
        return "; only this one file was uploaded, so it has no package and no modules beside it: put what it needs into it"
    if not error.name or wanted is None:
        return ""
    newer = newer_python.hint_of_name(error.name, wanted[1])
    if newer:
        return newer
    here, other = installed()[runtime], installed()[_other(runtime)]
    moved = _new_place(here, error.name, wanted[1])
    if moved:
        return f"; in {here.runtime} it is in {moved}: from {moved} import {wanted[1]}"
    if other.has_module(error.name) and not other.lacks_name(error.name, wanted[1]):
        return f"; the environment {other.runtime} has it: {_choose(other.runtime)}"
    return ""


def _new_place(environment: Environment, module: str, name: str) -> str:
    """The module of the same package that now defines the name, if exactly one does publicly."""
    package = module.split(".")[0]
    if not name.isidentifier() or package not in ("mcp", "fastmcp"):
        return ""
    found = []
    for path in (environment.site_packages / package).rglob("*.py"):
        relative = path.relative_to(environment.site_packages).with_suffix("")
        parts = [part for part in relative.parts if part != "__init__"]
        if not any(part.startswith("_") for part in parts) and _defines(path, name):
            found.append(".".join(parts))
    return found[0] if len(found) == 1 else ""


def _defines(path: Path, name: str) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        if name not in text:
            return False
        body = ast.parse(text).body
    except (OSError, SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name for node in body
    )


def _other(runtime: Runtime) -> Runtime:
    return "mcp2" if runtime == "mcp1" else "mcp1"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _innermost_of_group(error: BaseException) -> BaseException:
    """Task groups wrap what went wrong; the only cause inside says more than the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _user_traceback(error: BaseException, user_file: Path) -> str:
    report = traceback.TracebackException.from_exception(error)
    _keep_user_frames(report, str(user_file.parent) + "/", set())
    return "".join(report.format())


def _keep_user_frames(report: Any, folder: str, seen: set[int]) -> None:
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    report.stack[:] = [frame for frame in report.stack if frame.filename.startswith(folder)]
    for related in (report.__cause__, report.__context__, *(report.exceptions or ())):
        _keep_user_frames(related, folder, seen)
