"""Work that takes a while and reports its progress, with the fastmcp package."""

import asyncio

from fastmcp import Context, FastMCP

mcp = FastMCP("Long report")


@mcp.tool
async def build_report(chapters: int = 5, seconds_per_chapter: float = 1.0, ctx: Context | None = None) -> str:
    """Write a report chapter by chapter; the client sees each one finish."""
    if not 1 <= chapters <= 50 or not 0 <= seconds_per_chapter <= 60:
        raise ValueError("between 1 and 50 chapters of at most 60 seconds each, please")
    titles: list[str] = []
    for number in range(1, chapters + 1):
        # Stands for the real work: a query, a model, a slow service.
        await asyncio.sleep(seconds_per_chapter)
        titles.append(f"Chapter {number}")
        if ctx is not None:
            await ctx.report_progress(number, chapters, f"chapter {number} of {chapters} is written")
    return f"Report with {len(titles)} chapters: {', '.join(titles)}"
