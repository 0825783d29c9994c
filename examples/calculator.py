"""A first server: exact arithmetic, with version 1 of the MCP SDK."""

from fractions import Fraction

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Calculator")


@mcp.tool()
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@mcp.tool()
def divide(dividend: str, divisor: str) -> str:
    """Divide two numbers exactly. Takes whole numbers, decimals or fractions such as "2/3"."""
    if Fraction(divisor) == 0:
        raise ValueError("a number can't be divided by zero")
    return str(Fraction(dividend) / Fraction(divisor))


if __name__ == "__main__":
    mcp.run()
