"""How a client of either Python SDK signs in by OAuth, whose user has nothing but perhaps an old token."""

import asyncio
from typing import Any

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientMetadata, OAuthToken

REDIRECT = "http://127.0.0.1:33418/callback"


class Storage:
    """Keeps what the SDK gives it, as an application does."""

    def __init__(self, token: str | None) -> None:
        self.tokens = OAuthToken(access_token=token) if token else None
        self.client_info: Any = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client_info

    async def set_client_info(self, client_info: Any) -> None:
        self.client_info = client_info


async def open_browser(url: str) -> None:
    raise AssertionError(f"a browser was opened at {url}")


async def callback() -> Any:
    await asyncio.Event().wait()


def sign_in(url: str, token: str | None) -> OAuthClientProvider:
    """What the SDK does on a 401, beginning with this token."""
    fields: dict[str, Any] = {"client_name": "emcp-e2e", "redirect_uris": [REDIRECT]}
    metadata = OAuthClientMetadata.model_validate(fields)
    return OAuthClientProvider(url, metadata, Storage(token), open_browser, callback)
