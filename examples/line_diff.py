"""Compares texts. A low-level server with hand-written schemas, with version 2 of the SDK."""

import difflib
from typing import Any

import mcp.types as types
from mcp.server import Server, ServerRequestContext

DIFF = types.Tool(
    name="diff",
    description="Compare two texts line by line and return a unified diff.",
    input_schema={
        "type": "object",
        "properties": {"before": {"type": "string"}, "after": {"type": "string"}},
        "required": ["before", "after"],
    },
    output_schema={
        "type": "object",
        "properties": {"diff": {"type": "string"}, "changed_lines": {"type": "integer"}},
        "required": ["diff", "changed_lines"],
    },
)


async def list_tools(
    ctx: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[DIFF])


async def call_tool(ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    if params.name != DIFF.name:
        raise ValueError(f"there is no tool {params.name}")
    arguments = params.arguments or {}
    lines = list(
        difflib.unified_diff(
            str(arguments.get("before", "")).splitlines(), str(arguments.get("after", "")).splitlines(), lineterm="", n=1
        )
    )
    changed = sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in lines)
    text = "\n".join(lines) or "the texts are equal"
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content={"diff": text, "changed_lines": changed},
    )


server = Server("Line diff", on_list_tools=list_tools, on_call_tool=call_tool)
