"""Clients that call a tool without pause, and remember how every call went."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from support.api import Api
from support.streams import STREAM_HEADERS

CLIENTS = 6
# The longest time the tool takes, so that calls are under way at every instant.
WORK_MS = 30
# Traefik itself gives up after 30 s.
CALL_TIMEOUT_SECS = 40.0
PAUSE_DEADLINE_SECS = 60.0

# Stateless: each call is one POST, answered by one JSON document.
SERVER = """
import asyncio
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Echo", stateless_http=True, json_response=True)


@mcp.tool()
async def echo(text: str, work_ms: int) -> str:
    await asyncio.sleep(work_ms / 1000)
    return text
"""


@dataclass(frozen=True)
class Span:
    """While something was done to what is called."""

    began: float
    ended: float


@dataclass(frozen=True)
class Call:
    began: float
    ended: float
    problem: str | None

    @property
    def took_secs(self) -> float:
        return self.ended - self.began

    def met(self, spans: list[Span]) -> bool:
        """Whether it was under way in one of them."""
        return any(self.began <= span.ended and self.ended >= span.began for span in spans)


class Load:
    """`with Load(...) as load:` calls all the time; what has been is in `load.calls` afterwards."""

    def __init__(self, api: Api, server: str, token: str) -> None:
        self._api, self._token = api, token
        self._url = f"{api.public_url}/api/{server}/mcp"
        self._end = threading.Event()
        self._may_call = threading.Event()
        self._may_call.set()
        self._changed = threading.Condition()
        self._under_way = 0
        self.calls: list[Call] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._may_call.set()
        self._end.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def between_calls(self) -> Iterator[None]:
        """No call is under way inside; all clients call again right after."""
        self._may_call.clear()
        with self._changed:
            assert self._changed.wait_for(lambda: self._under_way == 0, PAUSE_DEADLINE_SECS), "calls hang"
        try:
            yield
        finally:
            self._may_call.set()

    def wait_for_calls(self, count: int) -> None:
        """Wait until so many more calls have ended: the loop runs as it should."""
        with self._changed:
            wanted = len(self.calls) + count
            assert self._changed.wait_for(lambda: len(self.calls) >= wanted, PAUSE_DEADLINE_SECS), "calls hang"

    def failures(self) -> list[Call]:
        return [call for call in self.calls if call.problem is not None]

    def longest_secs(self) -> float:
        return max(call.took_secs for call in self.calls)

    def longest_undisturbed_secs(self, disturbances: list[Span]) -> float:
        """What a call takes on this machine, as busy as it is, when nothing is done to anything."""
        return max(call.took_secs for call in self.calls if not call.met(disturbances))

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        headers = {**STREAM_HEADERS, "Authorization": f"Bearer {self._token}"}
        with httpx.Client(verify=self._api.tls, headers=headers, timeout=CALL_TIMEOUT_SECS, trust_env=False) as http:
            count = 0
            while not self._end.is_set():
                self._may_call.wait()
                with self._changed:
                    # Both under one lock, so that a pause that has begun lets nobody slip through.
                    if not self._may_call.is_set():
                        continue
                    self._under_way += 1
                count += 1
                call = _call(http, self._url, f"{number}-{count}", chance.randrange(WORK_MS))
                with self._changed:
                    self._under_way -= 1
                    self.calls.append(call)
                    self._changed.notify_all()


def _call(http: httpx.Client, url: str, text: str, work_ms: int) -> Call:
    arguments = {"text": text, "work_ms": work_ms}
    body = {"jsonrpc": "2.0", "id": text, "method": "tools/call", "params": {"name": "echo", "arguments": arguments}}
    began = time.monotonic()
    try:
        response = http.post(url, json=body)
        problem = _problem_of(response, text)
    except httpx.TransportError as error:
        problem = repr(error)
    return Call(began, time.monotonic(), problem)


def _problem_of(response: httpx.Response, text: str) -> str | None:
    if response.status_code != 200:
        return f"{response.status_code} {response.text[:200]}"
    try:
        answer = response.json()
        said = answer["result"]["content"][0]["text"]
    except (json.JSONDecodeError, KeyError, IndexError):
        return f"200 with {response.text[:200]!r}"
    return None if said == text else f"asked for {text!r}, got {said!r}"
