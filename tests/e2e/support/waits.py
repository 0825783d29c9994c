"""Waiting on conditions. Nothing in the suite sleeps for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECS = 0.1


class NotInTime(AssertionError):
    """A condition did not become true before its deadline."""


def until(what: str, check: Callable[[], T | None], deadline_secs: float) -> T:
    """Call `check` until it returns something true and return that.

    `what` completes the sentence "waited N s for …". An AssertionError inside `check` ends the wait at
    once, so that a check can tell "not yet" (return None) from "never" (raise).
    """
    started = time.monotonic()
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() - started > deadline_secs:
            raise NotInTime(f"waited {deadline_secs} s for {what}; last answer: {value!r}")
        time.sleep(POLL_SECS)
