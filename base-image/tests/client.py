"""An MCP client that runs inside the image, with the client library of either SDK version.

Reads one JSON request a line, answers one JSON line. Kept running, so that importing the library is
paid once.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

MAJOR = int(importlib.metadata.version("mcp").split(".")[0])
httpx: Any = importlib.import_module("httpx" if MAJOR == 1 else "httpx2")
sse: Any = importlib.import_module("mcp.client.sse")
streamable_http: Any = importlib.import_module("mcp.client.streamable_http")
mcp: Any = importlib.import_module("mcp")


def http_client(headers: dict[str, str], prefix: str) -> Any:
    async def strip_prefix(request: Any) -> None:
        # Traefik's part: servers get the path without the public prefix.
        path = request.url.path
        if prefix and path.startswith(prefix):
            request.url = request.url.copy_with(path=path.removeprefix(prefix))

    return httpx.AsyncClient(headers=headers, event_hooks={"request": [strip_prefix]}, timeout=20)


def transport(request: dict[str, Any]) -> Any:
    headers, prefix = request["headers"], request.get("prefix", "")
    if request["transport"] == "sse":

        def factory(**_: Any) -> Any:
            return http_client(headers, prefix)

        return sse.sse_client(request["url"], httpx_client_factory=factory)
    return streamable_http.streamable_http_client(request["url"], http_client=http_client(headers, prefix))


async def connect(stack: AsyncExitStack, request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if MAJOR == 2:
        client = await stack.enter_async_context(mcp.Client(transport(request), mode=request.get("mode", "auto")))
        # A client told to speak the revision without sessions asks for no server info.
        name = client.server_info.name if client.server_info else None
        return client, {"server": name, "protocol": client.protocol_version}
    streams = await stack.enter_async_context(transport(request))
    session = await stack.enter_async_context(mcp.ClientSession(streams[0], streams[1]))
    started = await session.initialize()
    return session, {"server": started.serverInfo.name, "protocol": started.protocolVersion}


async def perform(client: Any, step: list[Any]) -> Any:
    action, *arguments = step
    if action == "call_tool":
        progress: list[float] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            progress.append(done)

        result = await client.call_tool(*arguments, progress_callback=on_progress)
        return {**dump(result), "progress": progress}
    if action == "read_resource" and MAJOR == 1:
        pydantic = importlib.import_module("pydantic")
        arguments = [pydantic.AnyUrl(arguments[0])]
    return dump(await getattr(client, action)(*arguments))


def dump(result: Any) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def answer(request: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(25), AsyncExitStack() as stack:
        client, about = await connect(stack, request)
        return {**about, "results": [await perform(client, step) for step in request["steps"]]}


def explain(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


print(json.dumps({"major": MAJOR}), flush=True)
for line in sys.stdin:
    try:
        reply = asyncio.run(answer(json.loads(line)))
    except Exception as error:
        reply = {"error": explain(error)}
    print(json.dumps(reply, ensure_ascii=False), flush=True)
