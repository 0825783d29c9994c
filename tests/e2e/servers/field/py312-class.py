# MUST: runs, or the error says that the image has an earlier Python and that this syntax needs 3.12.
from fastmcp import FastMCP

mcp = FastMCP("stack")


class Stack[T]:
    def __init__(self) -> None:
        self.items: list[T] = []


@mcp.tool
def depth() -> int:
    return len(Stack[int]().items)
