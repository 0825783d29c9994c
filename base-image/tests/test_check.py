"""What is found in a file before it is started."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from emcp_bootstrap.check import check
from emcp_bootstrap.contract import Runtime
from emcp_bootstrap.environments import RUNTIMES, Environment

GOOD = 'from mcp.server.fastmcp import FastMCP\nmcp = FastMCP("x")\n'


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[Runtime, Environment]:
    root = tmp_path_factory.mktemp("installed")
    for runtime in RUNTIMES:
        for name in ("mcp/server/fastmcp/__init__.py", "mcp/server/__init__.py", "pandas/__init__.py"):
            path = root / runtime / "lib" / "python3.11" / "site-packages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("class FastMCP: ...\nclass Server: ...\n")
    return {runtime: Environment(runtime, root / runtime) for runtime in RUNTIMES}


@pytest.fixture
def look(tmp_path: Path, installed: dict[Runtime, Environment]) -> Any:
    def look(text: str, entry_object: str = "mcp") -> Any:
        path = tmp_path / "server.py"
        path.write_text(textwrap.dedent(text))
        return check(path, "auto", entry_object, installed)

    return look


def codes(found: Any) -> list[tuple[str, str, int | None]]:
    return [(problem["severity"], problem["code"], problem["line"]) for problem in found["problems"]]


def test_a_good_file_has_no_problems(look: Any) -> None:
    found = look(GOOD)
    assert found == {"runtime": "mcp1", "entry_objects": ["mcp"], "problems": []}


def test_a_syntax_error_has_its_place(look: Any) -> None:
    found = look("x = 1\ndef broken(:\n    pass\n")
    assert found["runtime"] is None
    (problem,) = found["problems"]
    assert (problem["severity"], problem["code"], problem["line"]) == ("error", "syntax_error", 2)
    assert problem["column"] == 12
    assert problem["args"] is None
    assert problem["end_column"] is None or problem["end_column"] >= problem["column"]


def test_what_only_the_compiler_finds_is_found_too(look: Any) -> None:
    assert codes(look("return 1\n")) == [("error", "syntax_error", 1)]


def test_a_module_that_is_not_there_is_a_warning_unless_the_file_can_do_without(look: Any) -> None:
    found = look(GOOD + "import pandas, numpy_of_mine\ntry:\n    import faster\nexcept ImportError:\n    faster = None\n")
    assert codes(found) == [("warning", "module_not_available", 3)]
    (problem,) = found["problems"]
    assert problem["message"].startswith("the module numpy_of_mine is not in the image")
    assert problem["args"] == {"module": "numpy_of_mine", "distribution": "numpy-of-mine"}


def test_a_module_that_looks_like_the_projects_own_is_said_to_be_left_behind(look: Any) -> None:
    found = look(GOOD + "import bs4\nfrom utils import x\n")
    assert codes(found) == [("warning", "module_not_available", 3), ("warning", "own_module", 4)]
    package, own = found["problems"]
    assert package["args"] == {"module": "bs4", "distribution": "beautifulsoup4"}
    assert "one file alone is uploaded" in own["message"] and "ask whoever runs this platform" in own["message"]


def test_a_file_without_a_server_is_an_error(look: Any) -> None:
    found = look("x = 1\n", entry_object="tools")
    assert codes(found) == [("error", "no_entry", None)]
    assert found["problems"][0]["args"] == {"entry_object": "tools"}


def test_a_server_of_another_name_is_taken_if_it_is_the_only_one(look: Any) -> None:
    found = look(GOOD.replace("mcp =", "tools ="))
    assert found["entry_objects"] == ["tools"]
    assert found["problems"] == []


def test_several_servers_of_other_names_need_a_choice(look: Any) -> None:
    found = look("from mcp.server import Server\na = Server('a')\nb: Server = Server[int]('b')\n")
    assert found["entry_objects"] == ["a", "b"]
    assert codes(found) == [("error", "entry_not_found", None)]
    assert found["problems"][0]["args"] == {"entry_object": "mcp", "found": "a, b"}


def test_a_server_made_inside_main_is_left_to_the_start(look: Any) -> None:
    text = """
        from mcp.server.fastmcp import FastMCP
        def main():
            server = FastMCP("x")
            server.run()
        main()
    """
    assert look(text)["problems"] == []


def test_nothing_of_the_file_is_run(look: Any, tmp_path: Path) -> None:
    look(GOOD + f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    assert not (tmp_path / "ran").exists()
