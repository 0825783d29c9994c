"""What each of the programs beside this is asked, and how it answers: JSON on standard input and output."""

import json
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """Connect to `url` over `transport` (`http` or `sse`), list the tools and call one."""

    url: str
    transport: str
    headers: dict[str, str]
    tool: str
    arguments: dict[str, Any]


def asked() -> Question:
    return Question(**json.load(sys.stdin))


def answer(tools: list[str], text: str) -> None:
    json.dump({"tools": tools, "answer": text}, sys.stdout)
