"""Client driver for the official Python SDK, mcp 2.x. See scenario.py for its input and output.

Over streamable HTTP it negotiates as the SDK does by default: the 2026-07-28 revision where the server
speaks it, the `initialize` handshake otherwise. HTTP+SSE exists only in the older revisions.
"""

from contextlib import AsyncExitStack
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import BaseModel
from scenario import Json, main, run_steps
from sign_in import sign_in


def wire(model: BaseModel) -> Json:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class SessionV2:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def initialize(self) -> Json:
        server_info = self.client.server_info
        return {
            "protocolVersion": self.client.protocol_version,
            "serverInfo": wire(server_info) if server_info else {},
            "capabilities": wire(self.client.server_capabilities),
            "instructions": self.client.instructions,
        }

    async def list_tools(self) -> Json:
        return wire(await self.client.list_tools())

    async def call_tool(self, name: str, arguments: Json, progress: list[Json]) -> Json:
        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append({"progress": done, "total": total, "message": message})

        return wire(await self.client.call_tool(name, arguments, progress_callback=note))

    async def list_resources(self) -> Json:
        return wire(await self.client.list_resources())

    async def read_resource(self, uri: str) -> Json:
        return wire(await self.client.read_resource(uri))

    async def list_prompts(self) -> Json:
        return wire(await self.client.list_prompts())

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> Json:
        return wire(await self.client.get_prompt(name, arguments))


async def run(scenario: Json) -> list[Json]:
    async with AsyncExitStack() as stack:
        transport: Any
        auth = sign_in(scenario["url"], scenario["oauth"]["token"]) if scenario.get("oauth") else None
        if scenario["transport"] == "sse":
            transport = sse_client(scenario["url"], headers=scenario["headers"], auth=auth)
        else:
            timeout = httpx2.Timeout(30, read=300)
            made = httpx2.AsyncClient(headers=scenario["headers"], timeout=timeout, auth=auth)
            http = await stack.enter_async_context(made)
            transport = streamable_http_client(scenario["url"], http_client=http)
        mode = "legacy" if scenario["transport"] == "sse" else "auto"
        client = await stack.enter_async_context(Client(transport, mode=mode))
        return await run_steps(SessionV2(client), scenario["steps"])


if __name__ == "__main__":
    main(run)
