"""What the Python client drivers share: read a scenario, run its steps, print what came over the wire.

A driver is a program of its own because mcp 1.x and 2.x cannot share an environment. It reads one
JSON object from standard input::

    {"url": …, "transport": "sse" | "http", "headers": {…}, "steps": [{"op": "list_tools"}, …]}

With `"oauth": {"token": …}` it signs in as its SDK does on a 401, beginning with that token or with none.
It prints one JSON object::

    {"client": "mcp 1.30.0", "error": null, "results": [{"ok": true, "value": …}, …]}

Every value has the field names of the protocol, so that one assertion fits all clients. `error` is set
when the connection itself failed. Only the standard library is used here.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

Json = dict[str, Any]


class Session(Protocol):
    """The questions a scenario may ask; each driver answers them with its SDK."""

    async def initialize(self) -> Json: ...
    async def list_tools(self) -> Json: ...
    async def call_tool(self, name: str, arguments: Json, progress: list[Json]) -> Json: ...
    async def list_resources(self) -> Json: ...
    async def read_resource(self, uri: str) -> Json: ...
    async def list_prompts(self) -> Json: ...
    async def get_prompt(self, name: str, arguments: dict[str, str]) -> Json: ...


Run = Callable[[Json], Awaitable[list[Json]]]


async def run_steps(session: Session, steps: list[Json]) -> list[Json]:
    """Run the steps in order; a step that fails is reported and the next one still runs."""
    results: list[Json] = []
    for step in steps:
        try:
            results.append({"ok": True, "value": await _run_step(session, step)})
        except Exception as error:  # The driver reports every failure of the SDK as a result.
            results.append({"ok": False, "error": describe(error)})
    return results


async def _run_step(session: Session, step: Json) -> Json:
    match step["op"]:
        case "initialize":
            return await session.initialize()
        case "list_tools":
            return await session.list_tools()
        case "call_tool":
            progress: list[Json] = []
            result = await session.call_tool(step["name"], step.get("arguments", {}), progress)
            return {**result, "progress": progress}
        case "list_resources":
            return await session.list_resources()
        case "read_resource":
            return await session.read_resource(step["uri"])
        case "list_prompts":
            return await session.list_prompts()
        case "get_prompt":
            return await session.get_prompt(step["name"], step.get("arguments", {}))
        case unknown:
            raise ValueError(f"unknown step {unknown!r}")


def describe(error: BaseException) -> str:
    """One line for an exception; task groups wrap the real cause in exception groups."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


def main(run: Run) -> None:
    """Read the scenario, run it, print the report. A failed scenario is a report, not an exit code."""
    scenario: Json = json.load(sys.stdin)
    report: Json = {"client": f"mcp {version('mcp')}", "error": None, "results": []}
    try:
        report["results"] = asyncio.run(run(scenario))
    except Exception as error:  # A refused or broken connection is what some tests are about.
        report["error"] = describe(error)
    json.dump(report, sys.stdout)
