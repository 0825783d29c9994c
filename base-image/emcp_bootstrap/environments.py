"""Decides which of the image's two Python environments a file needs.

The file is only inspected, never run. Pure but for looking at which modules an environment holds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .contract import Runtime, RuntimeChoice
from .source import Import, Source, imports_of

ENVIRONMENTS_ROOT = Path("/opt/emcp")
RUNTIMES: tuple[Runtime, Runtime] = ("mcp1", "mcp2")

# Modules whose files don't tell: version 2 of the SDK keeps a stub that only says that its module was
# renamed, and fastmcp 3 offers old module names without a file of that name.
_ONLY_MCP1 = ("mcp.server.fastmcp", "fastmcp.tools.tool", "fastmcp.prompts.prompt", "fastmcp.resources.resource")
_SDK_PACKAGES = frozenset({"mcp", "mcp_types", "fastmcp"})

_SDK_IMPORT = re.compile(rb"^\s*(?:from|import)\s+(?:mcp|mcp_types|fastmcp)\b", re.MULTILINE)
# Of a package whose imports are looked at: those that build on an SDK are small.
_PACKAGE_FILES_MAX = 200

_LOWLEVEL_MODULES = frozenset({"mcp.server", "mcp.server.lowlevel", "mcp.server.lowlevel.server"})
_MCP1_LOWLEVEL_DECORATORS = frozenset(
    {
        "list_tools", "call_tool", "list_resources", "list_resource_templates", "read_resource", "list_prompts",
        "get_prompt", "set_logging_level", "subscribe_resource", "unsubscribe_resource", "progress_notification",
        "completion",
    }
)  # fmt: skip
# Version 1 spells protocol fields as the wire does, version 2 as Python does.
_MCP1_FIELDS = frozenset({"inputSchema", "outputSchema", "isError", "structuredContent", "mimeType", "nextCursor"})
_MCP2_FIELDS = frozenset({"input_schema", "output_schema", "is_error", "structured_content", "next_cursor"})

# Taken out of the fastmcp package by its version 4.
_MCP1_FASTMCP_METHODS = frozenset(
    {"add_tool_transformation", "as_proxy", "import_server", "remove_tool", "remove_tool_transformation"}
)
_MCP1_FASTMCP_AWAITED = frozenset({"list_roots", "sample", "sample_step"})
_MCP1_FASTMCP_ARGUMENTS = frozenset({"exclude_args", "sampling_handler", "sampling_handler_behavior"})
_MCP1_MOUNT_ARGUMENTS = frozenset({"as_proxy", "prefix"})

_SCRIPT_METADATA = re.compile(r"^# /// script\n(?P<body>(?:#.*\n)*?)# ///$", re.MULTILINE)
_PIN = re.compile(r"""["'](mcp|fastmcp)(?:\[[^\]"']*\])?\s*([^"';]*)""")


@dataclass(frozen=True)
class Environment:
    """One environment of the image, seen from outside through its files."""

    runtime: Runtime
    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @cached_property
    def site_packages(self) -> Path:
        found = sorted((self.root / "lib").glob("python3.*/site-packages"))
        return found[0] if found else self.root / "lib" / "python3" / "site-packages"

    def has_package(self, name: str) -> bool:
        return self._locate(name.split(".")[0]) is not None

    def has_module(self, dotted: str) -> bool:
        if any(f"{dotted}.".startswith(f"{name}.") for name in _ONLY_MCP1):
            return self.runtime == "mcp1"
        return self._locate(dotted) is not None

    def lacks_name(self, module: str, name: str) -> bool:
        """Whether `from module import name` surely fails here. False when that can't be told."""
        place = self._locate(module)
        if place is None or self.has_module(f"{module}.{name}"):
            return False
        names = self._exported_names(place)
        return names is not None and name not in names

    def _exported_names(self, place: Path, depth: int = 0) -> set[str] | None:
        """The names a module binds at its top level, or None when its source doesn't tell."""
        if place.suffix != ".py" or depth > 3:
            return None
        try:
            tree = ast.parse(place.read_bytes())
        except (OSError, SyntaxError, ValueError):
            return None
        names: set[str] = set()
        pending: list[ast.AST] = list(tree.body)
        while pending:
            node = pending.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
                continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
                if isinstance(node, ast.ImportFrom) and "*" in names:
                    names.discard("*")
                    origin = self._locate(node.module) if node.module and node.level == 0 else None
                    more = self._exported_names(origin, depth + 1) if origin else None
                    if more is None:
                        return None
                    names |= more
                continue
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # A module that is filled lazily lists its names as strings, in __all__ for one.
                names.add(node.value)
            pending.extend(ast.iter_child_nodes(node))
        # A module-level __getattr__ can bring names that the source does not show.
        return None if "__getattr__" in names else names

    def sdk_imports_of(self, package: str) -> Iterator[Import]:
        """What the package's own files import of an SDK. Packages that say nothing of MCP are not read closely."""
        place = self._locate(package)
        if place is None or place.suffix not in ("", ".py"):
            return
        root = place.parent if place.name == "__init__.py" else place
        files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
        for path in files[:_PACKAGE_FILES_MAX]:
            try:
                data = path.read_bytes()
                if not _SDK_IMPORT.search(data):
                    continue
                found = imports_of(ast.parse(data))
            except (OSError, SyntaxError, ValueError):
                continue
            yield from (item for item in found if item.module.split(".")[0] in _SDK_PACKAGES)

    def _locate(self, dotted: str) -> Path | None:
        base = self.site_packages.joinpath(*dotted.split("."))
        for candidate in (base / "__init__.py", base.with_name(base.name + ".py")):
            if candidate.is_file():
                return candidate
        if base.is_dir() or (base.parent.is_dir() and any(base.parent.glob(f"{base.name}.*.so"))):
            return base
        return None


@dataclass(frozen=True)
class Choice:
    runtime: Runtime
    reason: str


@dataclass(frozen=True)
class _Evidence:
    runtime: Runtime
    reason: str
    line: int
    optional: bool


def installed(root: Path = ENVIRONMENTS_ROOT) -> dict[Runtime, Environment]:
    return {runtime: Environment(runtime, root / runtime) for runtime in RUNTIMES}


def choose(source: Source, wanted: RuntimeChoice, environments: dict[Runtime, Environment]) -> Choice:
    """The environment to load the file in, and why."""
    if wanted != "auto":
        return Choice(wanted, "set by the server's runtime setting")
    evidence = [*_from_script_metadata(source), *_from_imports(source, environments), *_from_usage(source)]
    for optional in (False, True):
        for piece in evidence:
            if piece.optional == optional:
                return Choice(piece.runtime, f"line {piece.line}: {piece.reason}")
    return Choice("mcp2", "nothing in the file speaks against it")


def _from_script_metadata(source: Source) -> list[_Evidence]:
    """Version pins of a `# /// script` block (PEP 723)."""
    block = _SCRIPT_METADATA.search(source.text)
    if block is None:
        return []
    found: list[_Evidence] = []
    for pin in _PIN.finditer(block["body"]):
        runtime = _runtime_of_pin(pin[1], pin[2])
        if runtime is not None:
            line = source.text.count("\n", 0, block.start("body") + pin.start()) + 1
            found.append(_Evidence(runtime, f"the script asks for {pin[1]}{pin[2].strip()}", line, optional=False))
    return found


def _runtime_of_pin(package: str, specifiers: str) -> Runtime | None:
    first_of_mcp2 = 2 if package == "mcp" else 4
    for operator, major_text in re.findall(r"(===?|~=|<=?|>=?)\s*(\d+)", specifiers):
        major = int(major_text)
        if operator == "<" and major <= first_of_mcp2:
            return "mcp1"
        if operator in ("==", "===", "~=", "<=") and major < first_of_mcp2:
            return "mcp1"
        if operator in ("==", "===", "~=", ">=", ">") and major >= first_of_mcp2:
            return "mcp2"
    return None


def _from_imports(source: Source, environments: dict[Runtime, Environment]) -> list[_Evidence]:
    found: list[_Evidence] = []
    for item in source.imports:
        holders: list[Runtime] = [name for name in RUNTIMES if environments[name].has_module(item.module)]
        if len(holders) == 1:
            found.append(_Evidence(holders[0], f"imports {item.module}", item.line, item.optional))
        elif len(holders) == 2 and item.module.split(".")[0] in _SDK_PACKAGES:
            found.extend(_from_names(item, environments))
        elif len(holders) == 2 and item.module.split(".")[0] not in sys.stdlib_module_names:
            found.extend(_from_package(item, environments))
    return found


def _from_package(item: Import, environments: dict[Runtime, Environment]) -> list[_Evidence]:
    """What a package that builds on an SDK itself asks of it, as `fastapi_mcp` does."""
    package = item.module.split(".")[0]
    for imported in environments["mcp1"].sdk_imports_of(package):
        for piece in _from_imports_of_sdk(imported, environments):
            reason = f"imports {package}, which {piece.reason}"
            return [_Evidence(piece.runtime, reason, item.line, item.optional or piece.optional)]
    return []


def _from_imports_of_sdk(item: Import, environments: dict[Runtime, Environment]) -> list[_Evidence]:
    holders: list[Runtime] = [name for name in RUNTIMES if environments[name].has_module(item.module)]
    if len(holders) == 1:
        return [_Evidence(holders[0], f"imports {item.module}", item.line, item.optional)]
    return _from_names(item, environments) if len(holders) == 2 else []


def _from_names(item: Import, environments: dict[Runtime, Environment]) -> list[_Evidence]:
    found: list[_Evidence] = []
    for name in item.names:
        lacking = [runtime for runtime in RUNTIMES if environments[runtime].lacks_name(item.module, name)]
        if len(lacking) == 1:
            holder: Runtime = "mcp2" if lacking[0] == "mcp1" else "mcp1"
            found.append(_Evidence(holder, f"imports {name} from {item.module}", item.line, item.optional))
    return found


def _from_usage(source: Source) -> list[_Evidence]:
    """How the file uses what both versions offer under the same name."""
    uses_lowlevel = any(item.module in _LOWLEVEL_MODULES and "Server" in item.names for item in source.imports)
    uses_types = any(item.module in ("mcp", "mcp.types") for item in source.imports)
    uses_fastmcp = any(item.module.split(".")[0] == "fastmcp" for item in source.imports)
    found: list[_Evidence] = []
    for node in ast.walk(source.tree):
        if uses_fastmcp:
            found.extend(_from_fastmcp_usage(node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and uses_lowlevel:
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else None
                if isinstance(called, ast.Attribute) and called.attr in _MCP1_LOWLEVEL_DECORATORS:
                    found.append(_Evidence("mcp1", f"uses the decorator {called.attr}()", decorator.lineno, False))
        if isinstance(node, ast.Call) and (uses_lowlevel or uses_types):
            found.extend(_from_keywords(node))
    return sorted(found, key=lambda piece: piece.line)


def _from_fastmcp_usage(node: ast.AST) -> list[_Evidence]:
    if isinstance(node, ast.Attribute) and node.attr in _MCP1_FASTMCP_METHODS:
        return [_Evidence("mcp1", f"uses {node.attr}(), which fastmcp 4 no longer has", node.lineno, False)]
    # Other libraries have a sample() as well, but none that is awaited in a server.
    if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
        name = getattr(node.value.func, "attr", "")
        if name in _MCP1_FASTMCP_AWAITED:
            return [_Evidence("mcp1", f"awaits {name}(), which fastmcp 4 no longer has", node.lineno, False)]
    if isinstance(node, ast.Call):
        gone = _MCP1_FASTMCP_ARGUMENTS
        if getattr(node.func, "attr", "") == "mount":
            gone = gone | _MCP1_MOUNT_ARGUMENTS
        return [
            _Evidence("mcp1", f"passes {keyword.arg}=, which fastmcp 4 no longer takes", keyword.lineno, False)
            for keyword in node.keywords
            if keyword.arg in gone
        ]
    return []


def _from_keywords(call: ast.Call) -> list[_Evidence]:
    function = call.func
    called = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    found: list[_Evidence] = []
    for keyword in call.keywords:
        name = keyword.arg or ""
        # `on_…` handlers are arguments of version 2's Server, decorators in version 1.
        if name in _MCP2_FIELDS or (called == "Server" and name.startswith("on_")):
            found.append(_Evidence("mcp2", f"passes {name}= to {called}", keyword.lineno, False))
        elif name in _MCP1_FIELDS:
            found.append(_Evidence("mcp1", f"passes {name}= to {called}", keyword.lineno, False))
    return found
