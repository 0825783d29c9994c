"""Recognises what only a Python newer than the image's has, so that its words can say so.

The image's own parser calls such syntax plainly invalid, and a missing name of the standard library
looks like a typing mistake.
"""

from __future__ import annotations

import re
import sys

_TYPE_STATEMENT = re.compile(r"^\s*type\s+\w+\s*(\[[^\]]*\])?\s*=")
_TYPE_PARAMETERS = re.compile(r"^\s*(async\s+def|def|class)\s+\w+\s*\[")
_TYPE_DEFAULTS = re.compile(r"^\s*(?:(?:async\s+def|def|class)\s+\w+\s*|type\s+\w+\s*)\[[^\]]*\w\s*(?::[^=\]]*)?=")
_BARE_EXCEPT_LIST = re.compile(r"^\s*except\*?\s+[\w.]+\s*,\s*[\w.]+(\s*,\s*[\w.]+)*\s*:")
_TEMPLATE_STRING = re.compile(r"""(?<![\w"'])(?:[tT][rR]?|[rR][tT])(?:"|')""")
_FORMAT_STRING = re.compile(r"""(?<![\w"'])(?:[fF][rR]?|[rR][fF])("{3}|'{3}|"|')""")

# What came to the standard library's usual places, by version ("What's New in Python 3.12" to "3.14").
_NEW_NAMES: dict[tuple[int, int], dict[str, frozenset[str]]] = {
    (3, 12): {
        "collections.abc": frozenset({"Buffer"}),
        "inspect": frozenset({"BufferFlags", "markcoroutinefunction", "getasyncgenstate", "getasyncgenlocals"}),
        "itertools": frozenset({"batched"}),
        "math": frozenset({"sumprod"}),
        "os": frozenset({"listdrives", "listmounts", "listvolumes", "unshare", "setns"}),
        "types": frozenset({"get_original_bases"}),
        "typing": frozenset({"override", "TypeAliasType"}),
        "calendar": frozenset({"Month", "Day"}),
    },
    (3, 13): {
        "copy": frozenset({"replace"}),
        "glob": frozenset({"translate"}),
        "os": frozenset({"process_cpu_count"}),
        "queue": frozenset({"ShutDown"}),
        "typing": frozenset({"NoDefault", "ReadOnly", "TypeIs", "get_protocol_members", "is_protocol"}),
        "warnings": frozenset({"deprecated"}),
    },
    (3, 14): {
        "annotationlib": frozenset(),
        "compression": frozenset(),
        "concurrent.futures": frozenset({"InterpreterPoolExecutor"}),
        "concurrent.interpreters": frozenset(),
        "string.templatelib": frozenset(),
    },
}


def hint_of_syntax(error: SyntaxError, text: str) -> str:
    """A sentence to add to the error, or nothing."""
    lines = text.splitlines()
    numbers = {error.lineno or 0, error.end_lineno or 0}
    for number in sorted(numbers):
        if 1 <= number <= len(lines):
            version = _version_of_line(lines[number - 1], error.msg or "")
            if version is not None and sys.version_info < version:
                return _sentence(version)
    return ""


def hint_of_name(module: str, name: str | None) -> str:
    """The same for `from module import name`, or, without a name, for `import module`."""
    for version, modules in _NEW_NAMES.items():
        if sys.version_info >= version or module not in modules:
            continue
        names = modules[module]
        if (not names) if name is None else (name in names or not names):
            return _sentence(version)
    return ""


def _sentence(version: tuple[int, int]) -> str:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"; the image has Python {here}, and this needs Python {version[0]}.{version[1]} or later"


def _version_of_line(line: str, message: str) -> tuple[int, int] | None:
    if _BARE_EXCEPT_LIST.match(line) or ("f-string" not in message and _TEMPLATE_STRING.search(line)):
        return (3, 14)
    if _TYPE_DEFAULTS.match(line):
        return (3, 13)
    if _TYPE_STATEMENT.match(line) or _TYPE_PARAMETERS.match(line):
        return (3, 12)
    return (3, 12) if _is_nested_format_string(line, message) else None


def _is_nested_format_string(line: str, message: str) -> bool:
    """Quotes of the string's own kind, backslashes or comments inside the braces (PEP 701)."""
    if "f-string expression part cannot include" in message:
        return True
    for match in _FORMAT_STRING.finditer(line):
        quote = match[1]
        inside = line[match.end() :]
        opening = inside.find("{")
        closing = inside.find(quote)
        # The string seems to end before its brace is closed.
        if 0 <= opening < closing and "}" not in inside[opening:closing] and "}" in inside[closing:]:
            return True
    return False
