"""Clients notice nothing of a restart but a wait: of their server's, and of EMCP's own."""

import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from harness import FaultPlatform
from load import SERVER, Call, Load, Span
from support.clients import bearer
from support.docker import inspect
from support.streams import SseSession, StreamEnded
from support.waits import until

SHORT = {"restart": 6, "env": 2, "crash between calls": 2, "crash": 2}
LONG = {"restart": 50, "env": 20, "crash between calls": 10, "crash": 10}
# What a call may wait beyond the cold start: the old container's last calls and its end.
WAIT_BEYOND_COLD_START_SECS = 1.0
RECOVERY_SECS = 60.0
CALLS_BETWEEN = 20
HANDOVERS = 10
# As in src/http/mod.rs: how long an EMCP that is to end waits for the servers that calls wait for.
DRAIN_SECS = 9.0
# As in src/http/controllers/gate.rs.
HOLD_SECS, HELD_EACH_MAX = 25.0, 128

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def platform() -> Iterator[FaultPlatform]:
    """A platform whose listening sockets outlive its EMCP, as in production."""
    made = FaultPlatform(holds_sockets=True)
    try:
        made.start()
        made.api.create("echo", SERVER, start="true")
        made.api.wait_for("echo", "running")
        yield made
    finally:
        made.stop()


@pytest.fixture
def load(platform: FaultPlatform) -> Iterator[Load]:
    with Load(platform.api, "echo", platform.admin_token) as load:
        load.wait_for_calls(CALLS_BETWEEN)
        yield load


@pytest.mark.timeout(1200)
def test_no_call_fails_while_its_server_is_restarted_and_crashes(
    platform: FaultPlatform, load: Load, tell: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    counts = LONG if pytestconfig.getoption("--soak") else SHORT
    before = platform.api.server("echo")["updated_at"]
    crashes: list[Span] = []
    disturbances: list[Span] = []
    for number, harm in enumerate(_mixed(counts)):
        began, run_before = time.monotonic(), platform.api.server("echo")["started_at"]
        _do(platform, load, harm, number, crashes)
        _wait_running(platform, run_before)
        disturbances.append(Span(began, time.monotonic()))
        load.wait_for_calls(CALLS_BETWEEN)
    load.__exit__()
    normal = load.longest_undisturbed_secs(disturbances)
    cold_start = max(_cold_starts(platform, "echo", before))
    cut = [call for call in load.failures() if call.met(crashes)]
    failed = [call for call in load.failures() if call not in cut]
    tell(
        f"{len(load.calls)} calls through {counts}: {len(failed)} failed, {len(cut)} were under way in the "
        f"container when it was killed; longest wait {load.longest_secs():.2f} s, longest cold start "
        f"{cold_start:.2f} s, longest call without any of it {normal:.2f} s"
    )
    assert not failed, _shown(failed)
    assert load.longest_secs() <= cold_start + WAIT_BEYOND_COLD_START_SECS + normal


def _mixed(counts: dict[str, int]) -> list[str]:
    """In some order, but each crash after something that was asked for: those in a row are restarted ever slower."""
    asked = ["restart"] * counts["restart"] + ["env"] * counts["env"]
    crashes = ["crash"] * counts["crash"] + ["crash between calls"] * counts["crash between calls"]
    random.shuffle(asked)
    random.shuffle(crashes)
    each = len(asked) // len(crashes)
    return [harm for n, crash in enumerate(crashes) for harm in [*asked[n * each : (n + 1) * each], crash]] + asked[
        len(crashes) * each :
    ]


def _do(platform: FaultPlatform, load: Load, harm: str, number: int, crashes: list[Span]) -> None:
    if harm == "restart":
        platform.api.action("echo", "restart")
    elif harm == "env":
        variables = [{"key": "NUMBER", "value": str(number), "is_secret": False}]
        platform.api.call("PUT", "/api/servers/echo/env?restart=true", json={"env": variables})
    elif harm == "crash between calls":
        with load.between_calls():
            _crash(platform)
    else:
        crashes.append(_crash(platform))


def _crash(platform: FaultPlatform) -> Span:
    """Kill the server's processes. Until the last is gone, the kernel still takes connections for them."""
    pid: int = inspect(platform.container_of("echo"))["State"]["Pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until("the processes to be gone", lambda: _is_gone(pid), RECOVERY_SECS)
    return Span(began, time.monotonic())


def _is_gone(pid: int) -> bool:
    try:
        # A process that only waits for its parent to notice holds nothing any more.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def _wait_running(platform: FaultPlatform, run_before: str) -> None:
    """Until another run answers: for a moment EMCP still shows the one before as running."""

    def runs_again() -> bool:
        server = platform.api.server("echo")
        return server["status"] == "running" and server["started_at"] != run_before

    until("the server to run again", runs_again, RECOVERY_SECS)


def _cold_starts(platform: FaultPlatform, server: str, since: str) -> list[float]:
    """From its history: how long each start took, from the first step to the first MCP answer."""
    events = platform.api.call("GET", f"/api/servers/{server}/events", params={"limit": "1000"})["events"]
    took, began = [], None
    for event in sorted(events, key=lambda event: event["at"]):
        at = datetime.fromisoformat(event["at"])
        if event["kind"] in ("building", "error") or (event["kind"] == "starting" and began is None):
            began = at if event["kind"] != "building" or began is None else began
        elif event["kind"] == "running" and began is not None:
            if event["at"] >= since:
                took.append((at - began).total_seconds())
            began = None
    return took


def _shown(calls: list[Call]) -> str:
    return "\n".join(f"after {call.took_secs:.2f} s: {call.problem}" for call in calls[:20])


def test_a_stream_ends_cleanly_and_the_next_one_opens_at_once(platform: FaultPlatform) -> None:
    headers = bearer(platform.admin_token)
    with SseSession(platform.api, "echo", headers) as session:
        assert session.call_tool("echo", {"text": "before", "work_ms": 0}) == "before"
        platform.api.action("echo", "restart")
        with pytest.raises(StreamEnded):
            while True:
                session.next_message()
        assert session.broken is None, f"the stream was cut: {session.broken}"
    # As a client does that sees its stream end: no wait, no second try.
    with SseSession(platform.api, "echo", headers) as session:
        assert session.call_tool("echo", {"text": "after", "work_ms": 0}) == "after"


def test_no_call_fails_while_emcp_itself_is_replaced(
    platform: FaultPlatform, load: Load, tell: Callable[[str], None]
) -> None:
    token = platform.admin_token
    gaps: list[Span] = []
    with SseSession(platform.api, "echo", bearer(token)) as stream:
        for number in range(HANDOVERS):
            began = time.monotonic()
            assert platform.terminate_emcp() == 0
            platform.start_emcp()
            gaps.append(Span(began, time.monotonic()))
            load.wait_for_calls(CALLS_BETWEEN)
            # The stream that was open before the first is the same one.
            assert stream.call_tool("echo", {"text": f"still {number}", "work_ms": 0}) == f"still {number}"
            platform.wait_ready()
    load.__exit__()
    normal = load.longest_undisturbed_secs(gaps)
    took = max(gap.ended - gap.began for gap in gaps)
    tell(
        f"{len(load.calls)} calls through {HANDOVERS} replacements of EMCP ({took:.2f} s at most): "
        f"{len(load.failures())} failed, longest wait {load.longest_secs():.2f} s, without them {normal:.2f} s"
    )
    assert not load.failures(), _shown(load.failures())
    assert load.longest_secs() <= took + WAIT_BEYOND_COLD_START_SECS + normal


def test_a_call_held_for_its_server_outlives_emcp(platform: FaultPlatform, load: Load) -> None:
    for _ in range(3):
        run_before = platform.api.server("echo")["started_at"]
        platform.api.action("echo", "restart")
        assert platform.terminate_emcp() == 0
        platform.start_emcp()
        platform.wait_ready()
        _wait_running(platform, run_before)
        load.wait_for_calls(CALLS_BETWEEN)
    load.__exit__()
    # On a machine so busy that a start takes longer than EMCP waits, they are told to come back.
    told = [call for call in load.failures() if call.took_secs >= DRAIN_SECS and "server_not_ready" in str(call.problem)]
    failed = [call for call in load.failures() if call not in told]
    assert not failed, _shown(failed)


def test_only_questions_under_way_are_lost_when_emcp_is_killed(
    platform: FaultPlatform, load: Load, tell: Callable[[str], None]
) -> None:
    kills: list[Span] = []
    for _ in range(HANDOVERS):
        began = time.monotonic()
        platform.kill_emcp()
        kills.append(Span(began, time.monotonic()))
        platform.start_emcp()
        platform.wait_ready()
        load.wait_for_calls(CALLS_BETWEEN)
    load.__exit__()
    lost = load.failures()
    tell(f"{len(load.calls)} calls through {HANDOVERS} kills of EMCP: {len(lost)} lost")
    unexplained = [call for call in lost if not call.met(kills)]
    assert not unexplained, _shown(unexplained)


def test_emcp_takes_the_sockets_of_the_next_holder(platform: FaultPlatform) -> None:
    platform.kill_holder()
    platform.start_holder()
    platform.wait_ready()
    answer = platform.api.request("GET", "/api/servers")
    assert answer.status_code == 200


def test_traefik_polls_a_new_emcp_at_once(platform: FaultPlatform) -> None:
    """Cut off, it would wait up to 18 s before it polls again."""
    assert platform.terminate_emcp() == 0
    platform.start_emcp()
    began = time.monotonic()
    platform.wait_ready()
    assert time.monotonic() - began < 3


def test_the_hold_is_bounded_in_number_and_time(new_platform: Callable[..., FaultPlatform]) -> None:
    platform = new_platform(EMCP_START_TIMEOUT_SECS="120")
    platform.start()
    # It never comes up, and does not fail before the test is over.
    never = "import time\ntime.sleep(600)\n"
    server, other = (platform.api.create(name, never, start="true") for name in ("slow", "slow-too"))
    # As Traefik asks by each server's route.
    question, another = (urlencode(platform.gate_query(each["id"])) for each in (server, other))
    asked = [_ask_gate(platform, question) for _ in range(HELD_EACH_MAX + 1)]
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        # What hangs takes no other server's places. The last of them is asked for through Traefik.
        asked += [_ask_gate(platform, another) for _ in range(HELD_EACH_MAX - 1)]
        through_traefik = pool.submit(_post, platform, "slow-too", HOLD_SECS + 4)
        try:
            # One too many: it is answered while all others wait.
            refused = until("a refusal", lambda: _answered(asked), HOLD_SECS / 2)
            assert len(refused) == 1
            answer = _post(platform, "slow", HOLD_SECS / 2)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_waiting")
            assert int(answer.headers["retry-after"]) > 0
            assert len(_answered(asked)) == 1
            # The others are answered, not cut, before Traefik would give up on them.
            for connection in asked:
                head = connection.recv(65_536)
                assert head.startswith(b"HTTP/1.1 503 ") and b"retry-after:" in head.lower()
            assert HOLD_SECS - 3 < time.monotonic() - began < HOLD_SECS + 3
        finally:
            for connection in asked:
                connection.close()
        # The client sees the same.
        answer = through_traefik.result()
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert HOLD_SECS - 1 < answer.elapsed.total_seconds() < HOLD_SECS + 3


def _ask_gate(platform: FaultPlatform, question: str) -> socket.socket:
    host, _, port = platform.internal_url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=HOLD_SECS + 10)
    token = platform.admin_token
    connection.sendall(f"GET /gate?{question} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {token}\r\n\r\n".encode())
    return connection


def _answered(connections: list[socket.socket]) -> list[int]:
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(0)]


def _post(platform: FaultPlatform, server: str, timeout_secs: float) -> httpx.Response:
    """A client's call, through Traefik."""
    with httpx.Client(
        base_url=platform.public_url,
        headers=bearer(platform.admin_token),
        verify=platform.api.tls,
        timeout=timeout_secs,
        trust_env=False,
    ) as http:
        return http.post(f"/api/{server}/mcp", json={})
