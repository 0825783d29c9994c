"""Requests through Traefik as they are written; HTTP libraries would tidy them up first.

Two servers and two tokens, one for each, and a way to ask over either version of HTTP. Each server tells its
name and what it was sent.
"""

import json
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from .api import Json
from .running import Platform

TEACHER = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        return
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    seen = {"reached": os.environ["EMCP_SERVER_NAME"], "path": scope["path"], "root_path": scope["root_path"],
            "query": scope["query_string"].decode("latin-1"), "headers": headers}
    body = json.dumps(seen).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-reached", os.environ["EMCP_SERVER_NAME"].encode())]})
    await send({"type": "http.response.body", "body": body})
"""

OWN, OTHER = "path", "path2"
DEADLINE_SECS = 15

REFUSALS = (400, 401, 403, 404)
# Over HTTP/2 a request may be ended without an answer (RFC 9113, 8.1.1).
NO_ANSWER = 0

Field = tuple[bytes, bytes]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reached(self) -> str | None:
        return self.headers.get("x-reached")

    @property
    def is_refusal(self) -> bool:
        return self.reached is None and self.status in (*REFUSALS, NO_ANSWER)

    @property
    def seen(self) -> Json:
        """What the server was sent."""
        found: Json = json.loads(self.body)
        return found

    def seen_headers(self, name: str) -> list[str]:
        return [value for key, value in self.seen["headers"] if key.lower() == name]


@dataclass(frozen=True)
class Wire(ABC):
    """One way to ask Traefik for one of the two servers."""

    platform: Platform
    own_token: str
    other_token: str

    @abstractmethod
    def request(self, method: str, target: str, *lines: str, host: str | None = None) -> Answer:
        """The answer to a request with these header lines and no others."""

    def get(self, target: str, *lines: str, host: str | None = None, token: str | None = None) -> Answer:
        """The same for a GET that carries a token, by default the own one."""
        return self.request("GET", target, f"Authorization: Bearer {token or self.own_token}", *lines, host=host)

    @property
    def host(self) -> str:
        return urlsplit(self.platform.public_url).netloc

    @contextmanager
    def connect(self, *protocols: str) -> Iterator[ssl.SSLSocket]:
        address = urlsplit(self.platform.public_url)
        assert address.hostname and address.port
        tls = ssl.create_default_context(cafile=self.platform.ca_file)
        if protocols:
            tls.set_alpn_protocols(list(protocols))
        with (
            socket.create_connection((address.hostname, address.port), timeout=DEADLINE_SECS) as plain,
            tls.wrap_socket(plain, server_hostname=address.hostname) as connection,
        ):
            yield connection


class Http1Wire(Wire):
    def send(self, request: str) -> list[Answer]:
        """All answers on one connection."""
        with self.connect() as connection:
            connection.sendall(request.encode("latin-1"))
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except (ConnectionResetError, ssl.SSLError):
                pass
        return parse(received)

    def request(self, method: str, target: str, *lines: str, host: str | None = None) -> Answer:
        host = self.host if host is None else host
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""]
        return self.send("\r\n".join(head))[0]


@dataclass(frozen=True)
class Stream:
    """What is sent on one HTTP/2 stream, byte for byte, sensible or not."""

    fields: list[Field]
    body: bytes | None = None
    trailers: list[Field] = field(default_factory=list)


class Http2Wire(Wire):
    def send(self, *streams: Stream) -> list[Answer]:
        """The answers to these streams, all begun on one connection before any is read."""
        settings = H2Configuration(
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        peer = H2Connection(settings)
        peer.initiate_connection()
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        open_streams = set()
        with self.connect("h2") as connection:
            assert connection.selected_alpn_protocol() == "h2"
            for number, stream in enumerate(streams):
                at = 2 * number + 1
                open_streams.add(at)
                peer.send_headers(at, stream.fields, end_stream=stream.body is None)
                if stream.body is not None:
                    peer.send_data(at, stream.body, end_stream=not stream.trailers)
                if stream.trailers:
                    peer.send_headers(at, stream.trailers, end_stream=True)
            try:
                while open_streams:
                    connection.sendall(peer.data_to_send())
                    received = connection.recv(65536)
                    if not received:
                        break
                    for event in peer.receive_data(received):
                        if isinstance(event, ResponseReceived):
                            heads[event.stream_id] = _readable(event.headers)
                        elif isinstance(event, DataReceived):
                            bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                            peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        elif isinstance(event, (StreamEnded, StreamReset)):
                            open_streams.discard(event.stream_id)
                        elif isinstance(event, ConnectionTerminated):
                            open_streams.clear()
            except ConnectionResetError:
                pass
        return [self._answer(heads.get(at), bodies.get(at, b"")) for at in range(1, 2 * len(streams), 2)]

    def fields(
        self, target: str, *lines: str, method: str = "GET", host: str | None = None, token: str | None = None
    ) -> list[Field]:
        """What a decent client would send, to be changed by a test; an empty token is none."""
        pseudo = {":method": method, ":scheme": "https", ":authority": host or self.host, ":path": target}
        token = self.own_token if token is None else token
        credential = {"authorization": f"Bearer {token}"} if token else {}
        pairs = [*(pseudo | credential).items(), *(line.split(": ", 1) for line in lines)]
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]

    def request(self, method: str, target: str, *lines: str, host: str | None = None) -> Answer:
        return self.send(Stream(self.fields(target, *lines, method=method, host=host, token="")))[0]

    @staticmethod
    def _answer(headers: dict[str, str] | None, body: bytes) -> Answer:
        if headers is None:
            return Answer(NO_ANSWER, {}, b"")
        return Answer(int(headers[":status"]), headers, body)


def _readable(headers: list[Field]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


@contextmanager
def two_servers(platform: Platform) -> Iterator[tuple[str, str]]:
    """Both servers, running; the token of the own one, and the other's."""
    api = platform.api
    for name in (OWN, OTHER):
        api.create(name, TEACHER, start="true", entry_object="app")
    for name in (OWN, OTHER):
        api.wait_for(name, "running")
    body = [{"name": f"only-{name}", "role": "connect", "servers": [name]} for name in (OWN, OTHER)]
    own, other = (api.call("POST", "/api/tokens", json=wanted) for wanted in body)
    yield own["token"], other["token"]
    for made in (own, other):
        api.call("DELETE", f"/api/tokens/{made['id']}")
    for name in (OWN, OTHER):
        api.delete(name)


def parse(received: bytes) -> list[Answer]:
    """The answers in what was received; those of Traefik and uvicorn have a length or end in chunks."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, rest = rest.partition(b"\r\n")
                length = int(size or b"0", 16)
                body, rest = body + rest[:length], rest[length + 2 :]
                if not length:
                    break
        else:
            length = int(headers.get("content-length", len(rest)))
            body, rest = rest[:length], rest[length:]
        answers.append(Answer(int(lines[0].split()[1]), headers, body))
        received = rest
    return answers
