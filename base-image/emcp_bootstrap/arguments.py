"""Whether a file ended because it wants arguments, which here are a property of the server.

Serves nothing and changes nothing.
"""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

from . import output

# Modules that read `sys.argv` for a program and end it when they don't like what they find.
_READERS = frozenset({"argparse", "optparse", "click", "typer", "docopt", "fire", "tyro", "absl", "getopt"})
# What Python says where a file takes from `sys.argv` what is not there.
_TAKES_TOO_MUCH = (IndexError, ValueError)


def hint(error: BaseException, user_file: Path) -> str:
    """Where arguments are set, for an end that comes of them; else nothing."""
    if _is_about_arguments(error, user_file):
        return "; the arguments a file is run with are the server's args, a list such as [\"--rows\", \"2\"]"
    return ""


def _is_about_arguments(error: BaseException, user_file: Path) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, _ in frames:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _READERS:
            # `parser.exit()` after `--version` or `--help` is one too: nothing is served with those.
            return isinstance(error, SystemExit) or type(error).__name__ == "GetoptError"
    if isinstance(error, SystemExit):
        said = error.code if isinstance(error.code, str) else output.last_line()
        return said.strip().lower().startswith("usage")
    if not isinstance(error, _TAKES_TOO_MUCH):
        return False
    own = [(frame, line) for frame, line in frames if frame.f_code.co_filename == str(user_file)]
    return bool(own) and "argv" in linecache.getline(str(user_file), own[-1][1])
