"""The least a file can be that EMCP serves: a plain ASGI app with one answer. Starts in a moment."""

_TEMPLATE = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": {body!r}}})
"""


def tiny_server(body: bytes) -> str:
    """The code of a server that answers everything with this body."""
    return _TEMPLATE.format(body=body)
