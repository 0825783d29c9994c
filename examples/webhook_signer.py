"""Signs and checks webhook bodies with a secret from the environment. Version 2 of the SDK.

Set SIGNING_SECRET as a secret of the server. It never leaves the server: clients only get signatures.
"""

import hashlib
import hmac
import os

from mcp.server import MCPServer

SECRET = os.environ.get("SIGNING_SECRET", "").encode()
if not SECRET:
    raise RuntimeError("set the secret SIGNING_SECRET in the server's environment")

mcp = MCPServer("Webhook signer")


def _signature(body: str) -> str:
    return "sha256=" + hmac.new(SECRET, body.encode(), hashlib.sha256).hexdigest()


@mcp.tool()
def sign(body: str) -> str:
    """The signature to send along with a webhook body."""
    return _signature(body)


@mcp.tool()
def verify(body: str, signature: str) -> bool:
    """Whether a signature belongs to a webhook body."""
    return hmac.compare_digest(_signature(body), signature)


def main() -> None:
    mcp.run(transport="streamable-http")


if __name__ == "__main__":
    main()
