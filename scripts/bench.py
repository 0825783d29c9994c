"""Cold start: from the upload of one file to the first answered tool call.

Measured against a bare `docker run` of the same image and file in the same run, alternating, so that
the ratio means something on a busy machine where the figures alone do not. Run by `make bench`.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from support import settings  # noqa: E402
from support.api import Api  # noqa: E402
from support.docker import docker  # noqa: E402
from support.running import Platform  # noqa: E402

CODE = """
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("bench")


@mcp.tool()
def add(a: int, b: int) -> int:
    return a + b
"""

DEADLINE_SECS = 60.0
MCP_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}

# Step name to the moment it was reached, in seconds since the epoch.
Moments = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    platform = Platform()
    try:
        platform.start()
        bare: list[Moments] = []
        through_emcp: list[Moments] = []
        with tempfile.TemporaryDirectory(prefix="emcp-bench-") as directory:
            code_dir = Path(directory)
            code_dir.chmod(0o755)
            (code_dir / "server.py").write_text(CODE)
            # One round beforehand is thrown away: it warms the page cache for both.
            for number in range(rounds + 1):
                results = measure_bare(platform, code_dir), measure_emcp(platform, number)
                if number > 0:
                    bare.append(results[0])
                    through_emcp.append(results[1])
        print_table(bare, through_emcp, rounds)
    finally:
        platform.stop()


def measure_bare(platform: Platform, code_dir: Path) -> Moments:
    """`docker run` with the flags EMCP uses, asked directly at its address."""
    moments = {"begin": time.time()}
    limits = ["--memory", "512m", "--cpus", "1.0", "--pids-limit", "128"]
    hardening = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init"]
    container = docker(
        *("run", "--detach", "--label", "emcp.test", "--network", platform.network.name, *limits, *hardening),
        *("--volume", f"{code_dir}:/app/user_code:ro", settings.base_image()),
    ).strip()
    try:
        address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
        ).strip()
        with httpx.Client(base_url=f"http://{address}:8000", trust_env=False, timeout=DEADLINE_SECS) as client:
            call_tool(client, "/mcp")
        moments["answered"] = time.time()
        moments.update(container_moments(container))
    finally:
        docker("rm", "--force", container)
    return moments


def measure_emcp(platform: Platform, number: int) -> Moments:
    """Upload with start, then one client that simply connects: the gate holds it until the server is ready."""
    api = platform.api
    name = f"bench-{number}"
    moments = {"begin": time.time()}
    api.create(name, CODE.encode(), start="true")
    moments["uploaded"] = time.time()
    headers = {"Authorization": f"Bearer {platform.admin_token}"}
    with httpx.Client(
        base_url=platform.public_url, headers=headers, verify=api.tls, trust_env=False, timeout=DEADLINE_SECS
    ) as client:
        call_tool(client, f"/api/{name}/mcp")
    moments["answered"] = time.time()
    moments.update(container_moments(platform.container_of(name)))
    api.delete(name)
    return moments


def container_moments(container: str) -> Moments:
    """When the engine made and started the container, and when the bootstrap said it was ready."""
    state = json.loads(docker("inspect", container))[0]
    # The container's two streams come out as two streams again; the line may be on either.
    command = ["docker", "--host", settings.docker_host(), "logs", "--timestamps", container]
    log = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    ready = next((line for line in log.splitlines() if '"event":"ready"' in line.replace(" ", "")), None)
    moments = {"created": _epoch(state["Created"]), "started": _epoch(state["State"]["StartedAt"])}
    if ready is not None:
        moments["ready"] = _epoch(ready.partition(" ")[0])
    return moments


def call_tool(client: httpx.Client, path: str) -> None:
    """Initialize and one tool call, as any client does it. A refusal while the server starts is tried again."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "emcp-bench", "version": "1"},
    }
    first = _until_answered(lambda: _post(client, path, {}, "initialize", hello, 1))
    session = {"Mcp-Session-Id": first.headers["mcp-session-id"]} if "mcp-session-id" in first.headers else {}
    _post(client, path, session, "notifications/initialized", {}, None)
    answer = _post(client, path, session, "tools/call", {"name": "add", "arguments": {"a": 2, "b": 3}}, 2)
    assert re.search(r'"text":\s*"5"', answer.text), answer.text


def _post(
    client: httpx.Client, path: str, headers: dict[str, str], method: str, params: dict[str, object], number: int | None
) -> httpx.Response:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None:
        message["id"] = number
    return client.post(path, json=message, headers={**MCP_HEADERS, **headers})


def _until_answered(attempt: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + DEADLINE_SECS
    while True:
        try:
            response = attempt()
            if response.is_success:
                return response
            said = f"{response.status_code} {response.text[:300]}"
        except httpx.TransportError as error:
            said = repr(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {DEADLINE_SECS} s; the last was: {said}")
        time.sleep(0.005)  # Between two looks; its length is the error of the measurement.


def _epoch(text: str) -> float:
    # Docker writes nanoseconds; Python reads microseconds.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", text)).timestamp()


def print_table(bare: list[Moments], through_emcp: list[Moments], rounds: int) -> None:
    steps = [
        ("upload answered", "begin", "uploaded"),
        ("until container created", "begin", "created"),
        ("create to start", "created", "started"),
        ("start to server ready (imports)", "started", "ready"),
        ("ready to first tool answer (route, probe)", "ready", "answered"),
        ("all: begin to first tool answer", "begin", "answered"),
    ]
    print(f"\nMedian of {rounds} rounds, in ms:\n")
    print(f"| {'step':<42} | {'EMCP':>7} | {'docker run':>10} | {'ratio':>5} |")
    print(f"| {'-' * 42} | {'-' * 6}: | {'-' * 9}: | {'-' * 4}: |")
    for words, begin, end in steps:
        emcp_ms, bare_ms = _median_ms(through_emcp, begin, end), _median_ms(bare, begin, end)
        ratio = f"{emcp_ms / bare_ms:.2f}" if emcp_ms and bare_ms else "-"
        print(f"| {words:<42} | {_cell(emcp_ms):>7} | {_cell(bare_ms):>10} | {ratio:>5} |")


def _median_ms(results: list[Moments], begin: str, end: str) -> float | None:
    spans = [(result[end] - result[begin]) * 1000 for result in results if begin in result and end in result]
    return statistics.median(spans) if spans else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
