"""Remembers the last line the user's file wrote, for the reason of an end that the file chose.

`print("set API_KEY"); sys.exit(1)` and argparse say why in a line, and then only an exit code.
"""

from __future__ import annotations

import sys
from typing import Any

# Of a line; what is longer is cut in the reason anyway.
_LINE_MAX_CHARS = 500

_last_line = ""


class _Watched:
    """A text stream that also looks at what is written. All else is the stream's own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        _remember(text)
        written: int = self._stream.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def watch() -> None:
    """Until `unwatch`, which comes before the first request: it is not to cost a call anything."""
    for name in ("stdout", "stderr"):
        setattr(sys, name, _Watched(getattr(sys, name)))


def unwatch() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # The file may have put something of its own there meanwhile.
        if isinstance(stream, _Watched):
            setattr(sys, name, stream._stream)


def last_line() -> str:
    """The last line that is not blank; empty where nothing was written."""
    return _last_line


def _remember(text: object) -> None:
    global _last_line
    if not isinstance(text, str):
        return
    for line in reversed(text[-4 * _LINE_MAX_CHARS :].splitlines()):
        if line.strip():
            _last_line = line.strip()[:_LINE_MAX_CHARS]
            return
