"""Lets every request pass without a look: the least that any gate behind Traefik's forward-auth can cost.

Run by gate.py with the port to listen on. It knows as much of HTTP/1.1 (RFC 9112) as Traefik sends.
"""

import asyncio
import re
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Consent(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while (head := self.unread.find(b"\r\n\r\n")) >= 0:
            length = CONTENT_LENGTH.search(self.unread, 0, head + 2)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self.unread) < end:
                return
            self.unread = self.unread[end:]
            self.transport.write(ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Consent, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
