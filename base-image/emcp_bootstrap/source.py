"""Reads the user's file as text and syntax tree. Never runs it.

Knows nothing of environments: it states what the file says, others draw the conclusions.
"""

from __future__ import annotations

import ast
import io
import tokenize
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import newer_python
from .contract import Failure

_RUN_METHODS = frozenset(
    {"run", "run_async", "run_stdio_async", "run_sse_async", "run_http_async", "run_streamable_http_async"}
)

_SERVING_METHODS = _RUN_METHODS | {"serve", "stdio_server"}
# A first or second line that names the file's encoding (PEP 263).
_NOT_UTF8 = "{name} is not text in {encoding} (line {line}); save the file as UTF-8"


@dataclass(frozen=True)
class Import:
    """One imported module and, for `from module import …`, the names taken from it."""

    module: str
    names: tuple[str, ...]
    line: int
    # An import inside `try: … except ImportError:` may fail without harm.
    optional: bool


@dataclass(frozen=True)
class Source:
    path: Path
    text: str
    tree: ast.Module
    imports: tuple[Import, ...] = field(default=())

    @property
    def has_guard(self) -> bool:
        """Whether there is an `if __name__ == "__main__":` at the top level."""
        return any(isinstance(node, ast.If) and _is_main_guard(node.test) for node in self.tree.body)

    @property
    def runs_something(self) -> bool:
        """Whether the file serves by itself when it is run, as far as its text tells.

        Any call of a run method or of uvicorn counts, wherever it stands.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and node.attr in _SERVING_METHODS:
                return True
            if isinstance(node, ast.Name) and node.id == "stdio_server":
                return True
        return False

    def names_that_are_run(self) -> set[str]:
        """Names on which a run method is called anywhere in the file, as in `server.run()`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call) and not isinstance(node, ast.Attribute):
                continue
            target = node.func if isinstance(node, ast.Call) else node
            if isinstance(target, ast.Attribute) and target.attr in _RUN_METHODS and isinstance(target.value, ast.Name):
                found.add(target.value.id)
        return found

    def line_of(self, name: str) -> int | None:
        """The last line at the top level that binds the name."""
        line: int | None = None
        for node in _top_level(self.tree.body):
            if name in _bound_names(node):
                line = node.lineno
        return line


def read(path: Path) -> Source:
    """Reads and parses the file, or says why it can't be."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Failure("code_not_found", f"there is no file at {path}") from None
    except OSError as error:
        raise Failure("code_not_found", f"{path} can't be read: {error.strerror}") from None
    return parse(path, decode(path.name, data))


def decode(name: str, data: bytes) -> str:
    """The text in the encoding that the file declares (PEP 263), as Python reads it; UTF-8 where it declares none."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        # An encoding that Python does not know, or bytes in the first lines that are no UTF-8.
        reason = str(error.msg)
        raise Failure("code_not_found", f"{name}: {reason}; save the file as UTF-8", line=1) from None
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = "UTF-8" if encoding in ("utf-8", "utf-8-sig") else encoding
        raise Failure("code_not_found", _NOT_UTF8.format(name=name, encoding=shown, line=line), line=line) from None


def parse(path: Path, text: str) -> Source:
    try:
        tree = ast.parse(text, filename=str(path))
        # Some mistakes, `return` outside a function for one, are only found by the compiler.
        compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        trace = "".join(traceback.format_exception_only(error))
        where = f"line {error.lineno}: " if error.lineno else ""
        newer = newer_python.hint_of_syntax(error, text)
        raise Failure("syntax_error", f"{where}{error.msg}{newer}", line=error.lineno, trace=trace) from error
    except ValueError as error:
        raise Failure("syntax_error", f"{path.name} is not Python source: {error}") from None
    except (RecursionError, MemoryError):
        raise Failure("syntax_error", f"{path.name} is nested too deeply for Python to read") from None
    return Source(path, text, tree, imports_of(tree))


def imports_of(tree: ast.Module) -> tuple[Import, ...]:
    """Every absolute import of a module, wherever it stands."""
    return tuple(_imports(tree))


def _imports(node: ast.AST, optional: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, (), child.lineno, optional)
        elif isinstance(child, ast.ImportFrom):
            if child.level == 0 and child.module:
                yield Import(child.module, tuple(alias.name for alias in child.names), child.lineno, optional)
        elif isinstance(child, ast.Try):
            guarded = optional or any(_catches_import_error(handler) for handler in child.handlers)
            yield from _imports(child, guarded)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), optional)
        else:
            yield from _imports(child, optional)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_main_guard(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp):
        return any(_is_main_guard(value) for value in test.values)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is loaded, also inside top-level if, try, with and loops."""
    for node in body:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from _top_level(getattr(node, block, []))
        for handler in getattr(node, "handlers", []):
            yield from _top_level(handler.body)


def _bound_names(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        targets = [node.target]
    return {child.id for target in targets for child in ast.walk(target) if isinstance(child, ast.Name)}
