"""The bootstrap's modules depend on one another in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "emcp_bootstrap"


def imported_by(module: Path) -> set[str]:
    """The modules of the package that this one names, also inside its functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_no_module_depends_on_one_that_depends_on_it() -> None:
    graph = {module.stem: imported_by(module) for module in PACKAGE.glob("*.py")}
    assert graph["run"] >= {"capture", "serve"}, "the imports were not found"
    # It raises CycleError, which names the circle.
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)
