"""The protocol fixture for the mcp 1.x SDK: one tool, resource or prompt for each thing a client can ask."""

import os
from collections.abc import Mapping

import anyio
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

mcp = FastMCP("Fixture v1", instructions="Answers every question a client test asks.")

held: dict[str, anyio.Event] = {}


class Weather(BaseModel):
    city: str
    temperature_celsius: float
    warnings: list[str]


@mcp.tool()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    print(f"add called with {a} and {b}")
    return a + b


@mcp.tool()
def weather(city: str) -> Weather:
    """Tell the weather as structured output."""
    return Weather(city=city, temperature_celsius=21.5, warnings=["wind", "pollen"])


@mcp.tool()
def fail(reason: str) -> str:
    """Raise, as a tool with a mistake does."""
    raise ValueError(f"refused because {reason}")


@mcp.tool()
async def count(steps: int, ctx: Context, pause_ms: int = 20) -> str:
    """Count upwards and report every step as progress."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step} of {steps}")
        await anyio.sleep(pause_ms / 1000)
    return f"counted to {steps}"


@mcp.tool()
async def hold(key: str, ctx: Context) -> str:
    """Report progress, then wait until `release` is called with the same key."""
    released = held.setdefault(key, anyio.Event())
    await ctx.report_progress(1, 2, "holding")
    await released.wait()
    return f"held until released: {key}"


@mcp.tool()
async def release(key: str) -> str:
    """Let a `hold` call end."""
    held.setdefault(key, anyio.Event()).set()
    return f"released {key}"


@mcp.tool()
def reverse(text: str) -> str:
    """Turn a text around, whatever its script."""
    return text[::-1]


@mcp.tool()
def request_headers(ctx: Context) -> dict[str, str]:
    """Show the headers of the HTTP request this call came in."""
    request = ctx.request_context.request
    headers: Mapping[str, str] = request.headers if request is not None else {}
    return {name.lower(): value for name, value in headers.items()}


@mcp.tool()
def environment(key: str) -> str:
    """Read one environment variable of this server."""
    return os.environ.get(key, "(not set)")


@mcp.tool()
def secret_length(key: str) -> int:
    """Use a secret without telling it."""
    return len(os.environ.get(key, ""))


@mcp.resource("note://greeting")
def greeting() -> str:
    """A fixed text."""
    return "Grüße aus dem Container, 你好"


@mcp.resource("note://{name}/length")
def note_length(name: str) -> str:
    """A resource with a parameter."""
    return f"{name}: {len(name)}"


@mcp.prompt()
def review(code: str, language: str = "python") -> str:
    """Ask for a review."""
    return f"Please review this {language} code: {code}"
