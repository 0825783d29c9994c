"""The least a file can be that EMCP serves: a plain ASGI app with one answer. Starts in a fraction of a second."""

_TEMPLATE = """
MARK = {mark!r}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"] == "lifespan.shutdown":
                return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}})
    await send({{"type": "http.response.body", "body": MARK.encode()}})
"""


def tiny_server(mark: str = "tiny") -> str:
    """The code of a server that answers every request with its mark; its entry object is `app`."""
    return _TEMPLATE.format(mark=mark)
