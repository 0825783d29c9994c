"""MCP over its two HTTP transports by hand, for tests that must watch the wire itself."""

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import httpx

from .api import Api

Json = dict[str, Any]

EVENT_DEADLINE_SECS = 30.0
HANDSHAKE: Json = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "emcp-e2e", "version": "1"},
}
STREAM_HEADERS = {"Accept": "application/json, text/event-stream"}


def knock(api: Api, server: str, headers: dict[str, str], query: str = "") -> httpx.Response:
    """Send a server nothing but an `initialize`, as a client's first request; the answer whatever its status."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    url = f"{api.public_url}/api/{server}/mcp{query}"
    with httpx.Client(verify=api.tls, timeout=30, trust_env=False) as http:
        return http.post(url, json=body, headers={**STREAM_HEADERS, **headers})


def has_route(answer: httpx.Response) -> bool:
    """Whether the answer came by the server's own route, not from EMCP in its place."""
    if answer.status_code == 404:
        return False
    return answer.status_code != 503 or answer.json()["error"]["code"] != "route_pending"


class StreamEnded(AssertionError):
    """The event stream was closed from the other side."""


class SseSession:
    """Opens the stream, does the handshake, then sends requests and hands out what arrives."""

    def __init__(
        self, api: Api, server: str, headers: dict[str, str], query: str = "", silent_secs: float = 60
    ) -> None:
        # The server pings every 15 s, if no tool blocks it; a stream silent for longer than this is dead.
        self._silent_secs = silent_secs
        # As every client of event streams, it follows where a key in the URL is taken out.
        self._http = httpx.Client(
            verify=api.tls, headers=headers, timeout=30, trust_env=False, follow_redirects=True
        )
        self._events: queue.Queue[tuple[str, str] | None] = queue.Queue()
        self._url = f"{api.public_url}/api/{server}/sse{query}"
        self._next_id = 0
        self.broken: Exception | None = None

    def __enter__(self) -> "SseSession":
        request = self._http.build_request("GET", self._url, headers={"Accept": "text/event-stream"})
        request.extensions["timeout"] = {"connect": 10, "read": self._silent_secs, "write": 10, "pool": 10}
        self._response = self._http.send(request, stream=True)
        if not self._response.is_success:
            self._response.read()
            raise AssertionError(f"GET {self._url}: {self._response.status_code} {self._response.text}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            event, self.endpoint = self._event()
            assert event == "endpoint", f"the first event was {event!r}"
            self.request("initialize", HANDSHAKE)
            self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream from this side."""
        # The reader sits in a read of its own. Closing the socket under it would leave it with a file
        # descriptor that soon belongs to something else; shutting it down makes it see the end and go.
        stream = self._response.extensions["network_stream"]
        with suppress(OSError):  # The other side may have gone first.
            socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)
        self._reader.join(EVENT_DEADLINE_SECS)
        assert not self._reader.is_alive(), "the reader of the stream did not end"
        self._response.close()
        self._http.close()

    def send(self, method: str, params: Json, progress_token: str | None = None) -> int:
        """Send a request without waiting for its answer; returns its id."""
        self._next_id += 1
        if progress_token is not None:
            params = {**params, "_meta": {"progressToken": progress_token}}
        self.post({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        return self._next_id

    def post(self, message: Json) -> None:
        response = self._http.post(urljoin(self._url, self.endpoint), json=message)
        assert response.is_success, f"POST {self.endpoint}: {response.status_code} {response.text}"

    def request(self, method: str, params: Json) -> Json:
        """Send a request and wait for its result."""
        request_id = self.send(method, params)
        while True:
            message = self.next_message()
            if message.get("id") == request_id:
                result: Json = message["result"]
                return result

    def next_message(self, deadline_secs: float = EVENT_DEADLINE_SECS) -> Json:
        """The next JSON-RPC message of the stream."""
        message: Json = json.loads(self._event(deadline_secs)[1])
        return message

    def call_tool(self, name: str, arguments: Json) -> str:
        """Call a tool and return the text of its answer."""
        text: str = self.request("tools/call", {"name": name, "arguments": arguments})["content"][0]["text"]
        return text

    def _event(self, deadline_secs: float = EVENT_DEADLINE_SECS) -> tuple[str, str]:
        try:
            event = self._events.get(timeout=deadline_secs)
        except queue.Empty:
            raise AssertionError(f"no event within {deadline_secs} s") from None
        if event is None:
            raise StreamEnded("the stream ended")
        return event

    def _read(self) -> None:
        kind, data = "message", ""
        try:
            for line in self._response.iter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    data += line.removeprefix("data:").strip()
                elif not line and data:
                    self._events.put((kind, data))
                    kind, data = "message", ""
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # Closed by the test, or cut: either way it is over, which the None tells.
            self.broken = error
        self._events.put(None)


class HttpSession:
    """A streamable HTTP session: every request is a POST, answered by a stream of its own."""

    def __init__(self, api: Api, server: str, headers: dict[str, str], timeout_secs: float = 60) -> None:
        headers = {**STREAM_HEADERS, **headers}
        self._http = httpx.Client(verify=api.tls, headers=headers, timeout=timeout_secs, trust_env=False)
        self._url = f"{api.public_url}/api/{server}/mcp"
        self._next_id = 0

    def __enter__(self) -> "HttpSession":
        with self.stream("initialize", HANDSHAKE) as response:
            assert response.is_success, f"POST {self._url}: {response.status_code} {response.read()!r}"
            # A stateless server gives none.
            if session := response.headers.get("mcp-session-id"):
                self._http.headers["mcp-session-id"] = session
            list(messages(response))
        self._http.post(self._url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    @property
    def id(self) -> str:
        """What the server calls the session."""
        return self._http.headers["mcp-session-id"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def stream(
        self, method: str, params: Json, progress_token: str | None = None
    ) -> AbstractContextManager[httpx.Response]:
        """Send a request; use the result in a `with` statement to read its stream."""
        self._next_id += 1
        if progress_token is not None:
            params = {**params, "_meta": {"progressToken": progress_token}}
        body = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        return self._http.stream("POST", self._url, json=body)

    def request(self, method: str, params: Json) -> Json:
        """Send a request and wait for its result."""
        with self.stream(method, params) as response:
            answers = [message for message in messages(response) if "result" in message]
        assert len(answers) == 1, f"{len(answers)} answers to one request"
        result: Json = answers[0]["result"]
        return result

    def call_tool(self, name: str, arguments: Json) -> str:
        """Call a tool and return the text of its answer."""
        text: str = self.request("tools/call", {"name": name, "arguments": arguments})["content"][0]["text"]
        return text


def messages(response: httpx.Response) -> Iterator[Json]:
    """The JSON-RPC messages of a response, as they arrive."""
    if response.headers.get("content-type") == "application/json":
        yield json.loads(response.read())
        return
    for line in response.iter_lines():
        if line.startswith("data:") and (data := line.removeprefix("data:").strip()):
            yield json.loads(data)
