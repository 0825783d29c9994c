"""What the broker costs: starts, and output that a server writes, beside an EMCP that uses the engine itself.

Both platforms are there at once, and each is asked in turn, round after round.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from support.running import Platform
from support.waits import until

DEADLINE_SECS = 120.0
LINES = 60_000
# As bare as can be, so that little but the container's own start is in it; what it writes is its output.
CODE = """
import os, sys

def write(lines):
    for number in range(lines):
        sys.stdout.write(f"{number:08} " + "x" * 91 + "\\n")
    sys.stdout.write("all was written\\n")
    sys.stdout.flush()

if int(os.environ.get("LINES", "0")):
    write(int(os.environ["LINES"]))

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    platforms = {"direct": Platform(EMCP_BROKER=""), "broker": Platform()}
    starts: dict[str, list[float]] = {way: [] for way in platforms}
    output: dict[str, list[float]] = {way: [] for way in platforms}
    try:
        for platform in platforms.values():
            platform.start()
        # The first round warms caches, and is thrown away.
        for number in range(rounds + 1):
            for way, platform in platforms.items():
                took = start(platform, number), write(platform, number)
                if number > 0:
                    starts[way].append(took[0])
                    output[way].append(took[1])
    finally:
        for platform in platforms.values():
            platform.stop()
    tell("create to running, s", starts)
    tell(f"{LINES} lines of 101 bytes to EMCP, s", output)


def start(platform: Platform, number: int) -> float:
    """Seconds from the upload to `running`."""
    name = f"start-{number}"
    began = time.monotonic()
    platform.api.create(name, CODE, entry_object="app", start="true")
    platform.api.wait_for(name, "running", DEADLINE_SECS)
    took = time.monotonic() - began
    platform.api.delete(name)
    return took


def write(platform: Platform, number: int) -> float:
    """Seconds from the upload until EMCP has the last line that the server writes at its start."""
    name = f"write-{number}"
    env = f'[{{"key":"LINES","value":"{LINES}"}}]'
    began = time.monotonic()
    platform.api.create(name, CODE, entry_object="app", env=env, start="true")
    until("the last line", lambda: _has_all(platform, name), DEADLINE_SECS)
    took = time.monotonic() - began
    platform.api.delete(name)
    return took


def _has_all(platform: Platform, name: str) -> bool:
    answer = platform.api.request("GET", f"/api/servers/{name}/logs", params={"tail": "200"})
    return answer.is_success and "all was written" in answer.text


def tell(what: str, found: dict[str, list[float]]) -> None:
    ratios = [broker / direct for broker, direct in zip(found["broker"], found["direct"], strict=True)]
    direct, broker = (statistics.median(found[way]) for way in ("direct", "broker"))
    print(f"{what}: direct {direct:.3f}, broker {broker:.3f}, ratio within a round {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
