"""Settings, reports and what a file's text says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emcp_bootstrap.contract import MAX_MESSAGE_CHARS, Failure, Settings
from emcp_bootstrap.source import Import, parse, read


def test_defaults_hold_when_nothing_is_set() -> None:
    assert Settings.from_environment({}) == Settings("server", "", "mcp", "auto", "", 8000)
    empty = {f"EMCP_{name}": "" for name in ("SERVER_NAME", "PATH_PREFIX", "ENTRY_OBJECT", "RUNTIME", "GATEWAY_KEY", "PORT")}
    assert Settings.from_environment(empty) == Settings.from_environment({})


@pytest.mark.parametrize("prefix", ["/", "api", "/api/", "/a//b", "/a b", "/a?b", "/ä", "/api\n"])
def test_a_malformed_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(Failure) as raised:
        Settings.from_environment({"EMCP_PATH_PREFIX": prefix})
    assert raised.value.code == "bad_contract"


def test_a_bad_key_is_not_repeated() -> None:
    with pytest.raises(Failure) as raised:
        Settings.from_environment({"EMCP_GATEWAY_KEY": "secret key"})
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8000 ", "٨", "1.5"])
def test_a_malformed_port_is_refused(port: str) -> None:
    with pytest.raises(Failure):
        Settings.from_environment({"EMCP_PORT": port})


def test_a_report_is_one_line_and_bounded() -> None:
    line = Failure("import_error", "a\nb" + "x" * 10_000, line=3).report()
    assert "\n" not in line
    event = json.loads(line)["emcp"]
    assert (event["line"], event["file"], len(event["message"])) == (3, "server.py", MAX_MESSAGE_CHARS)
    assert json.loads(Failure("no_entry_object", "a").report())["emcp"]["file"] is None


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert read(path).text == "x = 1\n"


def test_deep_nesting_is_a_syntax_error() -> None:
    with pytest.raises(Failure) as raised:
        parse(Path("server.py"), "(" * 5000 + ")" * 5000)
    assert raised.value.code == "syntax_error"


@pytest.mark.parametrize(
    "test", ['__name__ == "__main__"', "'__main__' == __name__", '__name__ == "__main__" and True']
)
def test_the_main_guard_is_found(test: str) -> None:
    assert parse(Path("server.py"), f"x = 1\nif {test}:\n    main()\n    more()\nelse:\n    other()").has_guard
    assert not parse(Path("server.py"), "if x == '__main__':\n    main()").has_guard


def test_imports_are_listed_with_their_lines() -> None:
    source = parse(Path("server.py"), "import a.b, c\nfrom d import e as f\nfrom . import g\ntry:\n    import h\nexcept ImportError:\n    h = None")
    assert source.imports == (
        Import("a.b", (), 1, False),
        Import("c", (), 1, False),
        Import("d", ("e",), 2, False),
        Import("h", (), 5, True),
    )


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("mcp = 1", 1),
        ("a, mcp = 1, 2", 1),
        ("x = 1\nmcp: int = 2", 2),
        ("def mcp(): ...", 1),
        ("try:\n    mcp = 1\nexcept E:\n    mcp = 2", 4),
        ("import mcp.server", 1),
        ("def f():\n    mcp = 1", None),
    ],
)
def test_the_line_that_binds_a_name_is_found(code: str, line: int | None) -> None:
    assert parse(Path("server.py"), code).line_of("mcp") == line
