"""Every example of examples/ starts in the image and answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from containers import Client, Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# file: settings, steps, and what has to be in the answers in this order
CASES: dict[str, tuple[dict[str, str], list[list[Any]], list[str]]] = {
    "calculator": (
        {},
        [["call_tool", "add", {"a": 2, "b": 40}], ["call_tool", "divide", {"dividend": "1", "divisor": "0"}]],
        ["42.0", "can't be divided by zero"],
    ),
    "notebook": (
        {},
        [
            ["call_tool", "write_note", {"title": "Milk", "text": "buy two"}],
            ["call_tool", "search_notes", {"words": "milk TWO"}],
            ["read_resource", "note://1"],
            ["get_prompt", "summarize", {"topic": "milk"}],
        ],
        ["'number': ", "'title': 'Milk'", "# Milk", "'milk'"],
    ),
    "line_diff": ({}, [["call_tool", "diff", {"before": "a\nb", "after": "a\nc"}]], ["'changed_lines': 2"]),
    "long_report": (
        {},
        [["call_tool", "build_report", {"chapters": 3, "seconds_per_chapter": 0.05}]],
        ["'progress': [1.0, 2.0, 3.0]"],
    ),
    "world_clock": (
        {},
        [["call_tool", "convert", {"time": "2026-03-01T09:30", "from_zone": "Europe/Berlin", "to_zone": "Asia/Tokyo"}]],
        ["2026-03-01T17:30+09:00"],
    ),
    "sales_table": ({}, [["call_tool", "total_by", {"column": "region"}]], ["'north': 10875"]),
    "webhook_signer": (
        {"SIGNING_SECRET": "s3cret"},
        [["call_tool", "sign", {"body": "hello"}]],
        ["sha256=e5a01537481fa0b2c697f787c7aff885412cf0760d08e08502259b39d2d6ae68"],
    ),
    "ticket_desk": ({"EMCP_ENTRY_OBJECT": "app"}, [["call_tool", "open_ticket", {"subject": "打印机"}]], ["'subject': '打印机'"]),
    "chinese_text": ({}, [["call_tool", "count", {"text": "你好，世界 ok"}]], ["'汉字': 4"]),
}


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(CASES)
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}.py`" in table for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_example_starts_and_answers(start: Callable[..., Server], client1: Client, client2: Client, name: str) -> None:
    settings, steps, expected = CASES[name]
    server = start((EXAMPLES / f"{name}.py").read_text(), **settings)
    assert server.ready()["mcp"] is True
    clients = [(client1, "http"), (client2, "http")]
    if name != "ticket_desk":
        clients.append((client1, "sse"))
    for client, transport in clients:
        results = client.run(server, transport, *steps)["results"]
        assert len(results) == len(expected)
        for result, words in zip(results, expected):
            assert words in str(result)


def test_an_example_without_its_secret_says_what_is_missing(start: Callable[..., Server]) -> None:
    event, exit_code = start((EXAMPLES / "webhook_signer.py").read_text()).failed()
    assert (event["code"], exit_code) == ("import_error", 71)
    assert "SIGNING_SECRET" in event["message"]


def test_the_ticket_desk_also_answers_rest(start: Callable[..., Server], client2: Client) -> None:
    server = start((EXAMPLES / "ticket_desk.py").read_text(), EMCP_ENTRY_OBJECT="app")
    server.ready()
    client2.run(server, "http", ["call_tool", "open_ticket", {"subject": "Printer"}])
    assert server.request("GET", "/tickets").json() == [{"number": 1, "subject": "Printer", "is_open": True}]
    assert server.request("GET", "/tickets/9").status == 404
