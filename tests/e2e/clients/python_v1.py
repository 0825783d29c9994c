"""Client driver for the official Python SDK, mcp 1.x. See scenario.py for its input and output."""

from contextlib import AsyncExitStack
from typing import Any

import httpx
from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import InitializeResult
from pydantic import AnyUrl, BaseModel
from scenario import Json, main, run_steps
from sign_in import sign_in


def wire(model: BaseModel) -> Json:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class SessionV1:
    def __init__(self, session: ClientSession, initialized: InitializeResult) -> None:
        self.session = session
        self.initialized = initialized

    async def initialize(self) -> Json:
        return wire(self.initialized)

    async def list_tools(self) -> Json:
        return wire(await self.session.list_tools())

    async def call_tool(self, name: str, arguments: Json, progress: list[Json]) -> Json:
        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append({"progress": done, "total": total, "message": message})

        return wire(await self.session.call_tool(name, arguments, progress_callback=note))

    async def list_resources(self) -> Json:
        return wire(await self.session.list_resources())

    async def read_resource(self, uri: str) -> Json:
        return wire(await self.session.read_resource(AnyUrl(uri)))

    async def list_prompts(self) -> Json:
        return wire(await self.session.list_prompts())

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> Json:
        return wire(await self.session.get_prompt(name, arguments))


async def run(scenario: Json) -> list[Json]:
    async with AsyncExitStack() as stack:
        streams: Any
        auth = sign_in(scenario["url"], scenario["oauth"]["token"]) if scenario.get("oauth") else None
        if scenario["transport"] == "sse":
            streams = await stack.enter_async_context(sse_client(scenario["url"], headers=scenario["headers"], auth=auth))
        else:
            timeout = httpx.Timeout(30, read=300)
            made = httpx.AsyncClient(headers=scenario["headers"], timeout=timeout, auth=auth)
            http = await stack.enter_async_context(made)
            streams = await stack.enter_async_context(streamable_http_client(scenario["url"], http_client=http))
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
        return await run_steps(SessionV1(session, await session.initialize()), scenario["steps"])


if __name__ == "__main__":
    main(run)
