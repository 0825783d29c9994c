"""Tells EMCP whether a call is running, from a thread of its own.

A tool that blocks the event loop keeps the health page from being answered for as long as it runs. By
this EMCP tells such a server from one that hangs, which it replaces: a process that is stopped answers
nothing here either, and one that hangs without a call says so.

One datagram asks, one answers. No connections, so nobody can hold the thread up; who does not bring
the gateway key gets nothing. Knows no HTTP and no SDK.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping

# Bound here, before the user's file could put others in their places (gevent does).
from _thread import start_new_thread
from socket import AF_INET, SOCK_DGRAM, socket

from .contract import log

QUESTION_MAX_BYTES = 1024


def start(port: int, key: str, report: Callable[[], Mapping[str, int]]) -> None:
    """Answers from now on. Where it cannot, the server serves all the same."""
    sock = socket(AF_INET, SOCK_DGRAM)
    try:
        sock.bind(("0.0.0.0", port))
        start_new_thread(_answer, (sock, key.encode("ascii"), report))
    except (OSError, RuntimeError) as error:
        sock.close()
        log(f"nobody can be told whether a call is running: {error}")


def _answer(sock: socket, key: bytes, report: Callable[[], Mapping[str, int]]) -> None:
    while True:
        try:
            question, whence = sock.recvfrom(QUESTION_MAX_BYTES)
        except OSError:
            # Closed by the user's file, as a daemon closes whatever is open.
            return
        if not hmac.compare_digest(question, key):
            continue
        try:
            sock.sendto(json.dumps(report()).encode("ascii"), whence)
        except OSError:
            # Who asked is gone.
            continue
