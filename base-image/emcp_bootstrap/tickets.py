"""What the gate adds for clients that can send nothing but an address.

Such a client opens `/sse?key=…` and then posts to the address the server's `endpoint` event names,
without the key. For a session opened by a key in the address the gate sends a ticket along
(`X-Emcp-Sse-Ticket`); it is put into that event's address here, so that the client brings it back
with every message. Pure ASGI; knows no SDK.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from .apps import Message, Scope, Send

TICKET_HEADER = b"x-emcp-sse-ticket"
TICKET_PARAMETER = "emcp_ticket"
KEY_PARAMETER = "key"
ENDPOINT_EVENT = b"event: endpoint"
DATA_FIELD = b"data: "


def of_request(scope: Scope) -> bytes | None:
    """The ticket the gate sent with this request, if it sent one."""
    return next((value for name, value in scope["headers"] if name.lower() == TICKET_HEADER), None)


def without_credentials(query: bytes, path: str) -> bytes:
    """The query without what is between the client and the gate.

    A server's own parameter named `key` stays where clients do not connect.
    """
    hidden = {TICKET_PARAMETER}
    if path.rstrip("/").endswith(("/sse", "/mcp")):
        hidden.add(KEY_PARAMETER)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if not any(name in hidden for name, _ in pairs):
        return query
    return urlencode([pair for pair in pairs if pair[0] not in hidden]).encode("ascii")


def writing_into_endpoint(send: Send, ticket: bytes) -> Send:
    """A `send` that puts the ticket into the `endpoint` event's address, and passes all else."""
    is_done = False

    async def send_with_ticket(message: Message) -> None:
        nonlocal is_done
        if not is_done and message["type"] == "http.response.body" and message.get("body"):
            body = with_ticket(message["body"], ticket)
            is_done = body is not None
            if body is not None:
                message = {**message, "body": body}
        await send(message)

    return send_with_ticket


def with_ticket(chunk: bytes, ticket: bytes) -> bytes | None:
    """The chunk with the ticket in its `endpoint` event, or None if it has no such event."""
    event = chunk.find(ENDPOINT_EVENT)
    start = chunk.find(DATA_FIELD, event) if event >= 0 else -1
    if start < 0:
        return None
    start += len(DATA_FIELD)
    ends = [end for end in (chunk.find(b"\r", start), chunk.find(b"\n", start)) if end >= 0]
    end = min(ends, default=len(chunk))
    joint = b"&" if b"?" in chunk[start:end] else b"?"
    return chunk[:end] + joint + TICKET_PARAMETER.encode("ascii") + b"=" + ticket + chunk[end:]
