"""Runs the user's file inside the chosen environment, as Python would, and has it served.

How to serve is left to `serve`, and what a failure means to `explain`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from . import capture, entry as entries, output, tolerance, workplace
from .contract import MODULE_NAME, USER_FILE, Failure, Runtime, Settings, exit_with, flush_output
from .explain import explain_exception
from .serve import Host, install_sigterm
from .source import Source, read

def main(settings: Settings, runtime: Runtime, started_ns: int, user_file: Path = USER_FILE) -> NoReturn:
    os.environ.pop("EMCP_GATEWAY_KEY", None)
    try:
        user_file = workplace.enter(user_file)
        source = read(user_file)
    except Failure as failure:
        exit_with(failure)
    host = Host(settings, source, runtime, started_ns)
    install_sigterm(host)
    signal.signal(signal.SIGINT, host.handle_sigterm)
    capture.install(host)
    capture.patch_on_import(host.calls.patches())
    tolerance.install(user_file)
    output.watch()
    sys.argv = [str(user_file), *settings.arguments]
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
        if host.has_served and host.is_stopping:
            # The file's own clean-up failed after a stop; the stop itself went as asked.
            if not isinstance(error, SystemExit):
                sys.stderr.write(explain(error).trace)
        elif host.has_served and isinstance(error, SystemExit):
            host.end_as(error)
        elif host.has_served:
            sys.stderr.write(explain(error).trace)
            flush_output()
            os._exit(1)
        else:
            exit_with(explain(error))
    flush_output()
    sys.exit(0)


def _load_and_serve(module: ModuleType, source: Source, settings: Settings, host: Host) -> None:
    namespace = module.__dict__
    exec(compile(source.tree, str(source.path), "exec", dont_inherit=True), namespace)
    if host.has_served:
        # A run call in another thread, or one that has already come back after SIGTERM.
        host.wait_until_finished()
        return
    entry = entries.find(namespace, settings.entry_object, source)
    if entry is None and _call_main(module, source):
        if host.has_served:
            host.wait_until_finished()
            return
        entry = entries.find(namespace, settings.entry_object, source)
    if entry is None:
        raise entries.missing(namespace, settings.entry_object)
    host.serve_entry(entry)


def _call_main(module: ModuleType, source: Source) -> bool:
    """Calls `main()`, where the file leaves that to a console script; whether there was one to call."""
    if source.has_guard:
        return False
    main_function = entries.main_function(module.__dict__)
    if main_function is None:
        return False
    result = main_function()
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return True
