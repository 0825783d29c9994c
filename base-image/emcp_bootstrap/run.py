"""Loads the user's file inside the chosen environment and has it served.

Knows what the file's failures mean; how to serve is left to `serve`.
"""

from __future__ import annotations

import __future__

import ast
import asyncio
import functools
import importlib.metadata
import inspect
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn

from . import capture, entry as entries
from .contract import USER_FILE, Failure, Runtime, Settings, exit_with, flush_output
from .environments import Environment, installed
from .serve import Host, install_sigterm
from .source import Source, read

# The name under which the user's module is known to dataclasses, pydantic and pickle. Not "__main__",
# so that a guarded body does not run when the file is loaded.
MODULE_NAME = "server"

_FUTURE_FLAGS = functools.reduce(
    lambda flags, name: flags | getattr(__future__, name).compiler_flag, __future__.all_feature_names, 0
)

_MISSING_NAME = re.compile(r"cannot import name '([^']+)'")


def user_module() -> ModuleType | None:
    return sys.modules.get(MODULE_NAME)


def main(settings: Settings, runtime: Runtime, started_ns: int, user_file: Path = USER_FILE) -> NoReturn:
    os.environ.pop("EMCP_GATEWAY_KEY", None)
    try:
        source = read(user_file)
    except Failure as failure:
        exit_with(failure)
    host = Host(settings, source, runtime, started_ns)
    install_sigterm(host)
    signal.signal(signal.SIGINT, host.handle_sigterm)
    capture.install(host)
    sys.argv = [str(user_file)]
    sys.path.insert(0, str(user_file.parent))
    module = ModuleType(MODULE_NAME)
    module.__file__ = str(user_file)
    sys.modules[MODULE_NAME] = module
    explain = functools.partial(explain_exception, user_file=user_file, runtime=runtime)
    host.prepare(module.__dict__, explain)
    try:
        _load_and_serve(module, source, settings, host)
    except Failure as failure:
        exit_with(failure)
    except BaseException as error:
        if host.has_served:
            # The file's own clean-up failed after a stop; the stop itself went as asked.
            if not isinstance(error, SystemExit):
                sys.stderr.write(explain(error).trace)
        else:
            exit_with(explain(error))
    flush_output()
    sys.exit(0)


def _load_and_serve(module: ModuleType, source: Source, settings: Settings, host: Host) -> None:
    namespace = module.__dict__
    code = compile(source.tree, str(source.path), "exec", dont_inherit=True)
    exec(code, namespace)
    if host.has_served:
        # A run call in another thread, or one that has already come back after SIGTERM.
        host.wait_until_finished()
        return
    entry = entries.find(namespace, settings.entry_object, source)
    if entry is None and _run_main(module, source, code):
        if host.has_served:
            host.wait_until_finished()
            return
        entry = entries.find(namespace, settings.entry_object, source)
    if entry is None:
        raise entries.missing(namespace, settings.entry_object)
    host.serve_entry(entry)


def _run_main(module: ModuleType, source: Source, module_code: CodeType) -> bool:
    """Runs what would build the server if Python ran the file; whether there was anything to run."""
    if source.guard_body:
        exec(_guard_code(source, module_code), module.__dict__)
        return True
    main_function = entries.main_function(module.__dict__)
    if main_function is None:
        return False
    # Packages leave the call of main() to a console script.
    result = main_function()
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return True


def _guard_code(source: Source, module_code: CodeType) -> CodeType:
    body = ast.Module(body=source.guard_body, type_ignores=[])
    # `from __future__` imports hold for the whole file.
    flags = module_code.co_flags & _FUTURE_FLAGS
    return compile(body, str(source.path), "exec", flags=flags, dont_inherit=True)


def explain_exception(error: BaseException, *, user_file: Path, runtime: Runtime) -> Failure:
    """What an exception of the user's code means, with its line and the frames of the user's file."""
    error = _innermost_of_group(error)
    line = _user_line(error, user_file)
    trace = _user_traceback(error, user_file)
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        message = f"the file ended the program itself (exit code {code}) instead of providing a server"
        return Failure("import_error", message, line=line, trace=trace)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Failure("missing_dependency", _missing_module(error.name, runtime), line=line, trace=trace)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        message += _hint_of_other_environment(error, runtime)
    return Failure("import_error", message, line=line, trace=trace)


def _missing_module(name: str, runtime: Runtime) -> str:
    environments = installed()
    here, other = environments[runtime], environments[_other(runtime)]
    package = name.split(".")[0]
    if other.has_module(name):
        place = f"module '{name}' is not in the environment {runtime}"
        if here.has_package(package):
            place += f" ({package} {_version(package)})"
        return f"{place} but in {other.runtime}; set the server's runtime to {other.runtime}"
    if here.has_package(package):
        return f"package '{package}' {_version(package)} is installed but has no module '{name}'; check the import"
    return (
        f"module '{name}' is not installed in the image; build an image on it that adds the package "
        "(RUN emcp-pip install …) or drop the import"
    )


def _hint_of_other_environment(error: ImportError, runtime: Runtime) -> str:
    other: Environment = installed()[_other(runtime)]
    # The name itself is only in the message before Python 3.12.
    wanted = _MISSING_NAME.match(str(error))
    if error.name and wanted and other.has_module(error.name) and not other.lacks_name(error.name, wanted[1]):
        return f"; the environment {other.runtime} has it: set the server's runtime to {other.runtime}"
    return ""


def _other(runtime: Runtime) -> Runtime:
    return "mcp2" if runtime == "mcp1" else "mcp1"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _innermost_of_group(error: BaseException) -> BaseException:
    """Task groups wrap what went wrong; the only cause inside says more than the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _user_line(error: BaseException, user_file: Path) -> int | None:
    line: int | None = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(user_file):
            line = frame.lineno
    return line


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
