"""`running` stays true: what answers nothing any more is said to, and replaced; what is only busy is left alone."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from harness import FaultPlatform, Json
from support.clients import bearer
from support.docker import docker, inspect
from support.streams import HttpSession, SseSession
from support.tiny import tiny_server
from support.waits import until

# Asked every second, three looks in a row of up to five seconds each, on a machine that is busy with other things.
TOLD_DEADLINE_SECS = 60.0
REPLACED_DEADLINE_SECS = 90.0
# Longer than three looks without an answer take, and shorter than a call may block before that is told.
BUSY_SECS = 12
# Longer than that: twelve intervals.
LONG_SECS = 24

# For what takes ten seconds or more of CPU time, on a machine that is busy with other things.
COUNTING_DEADLINE_SECS = 240

_BLOCKING = """
import asyncio
import time

from {module} import {name}

mcp = {name}("blocking")


def spin() -> None:
    while True:
        pass


@mcp.tool()
async def block(seconds: float) -> str:
    print("blocking")
    time.sleep(seconds)
    return "let go"


@mcp.tool()
async def count(millions: int) -> str:
    # One call of C code, which keeps Python's lock: no other thread runs meanwhile.
    return str(sum(range(millions * 1_000_000)))


@mcp.tool()
async def hang_soon() -> str:
    asyncio.get_running_loop().call_later(0.3, spin)
    return "soon"
"""
SDK1 = _BLOCKING.format(module="mcp.server.fastmcp", name="FastMCP")
SDK2 = _BLOCKING.format(module="mcp.server.mcpserver", name="MCPServer")


@pytest.fixture(scope="module")
def patient() -> Iterator[FaultPlatform]:
    """A platform that asks every second and replaces nothing."""
    with _platform(EMCP_LIVENESS_INTERVAL_SECS="1", EMCP_UNRESPONSIVE_RESTART_SECS="0") as made:
        yield made


@pytest.fixture(scope="module")
def impatient() -> Iterator[FaultPlatform]:
    """A platform that asks every second and replaces what has answered nothing for some seconds."""
    with _platform(EMCP_LIVENESS_INTERVAL_SECS="1", EMCP_UNRESPONSIVE_RESTART_SECS="5") as made:
        yield made


@contextmanager
def _platform(**emcp_settings: str) -> Iterator[FaultPlatform]:
    made = FaultPlatform(holds_sockets=False, **emcp_settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def start(platform: FaultPlatform, code: str, entry_object: str = "mcp") -> Json:
    name = f"watched-{secrets.token_hex(2)}"
    platform.api.create(name, code, entry_object=entry_object, start="true")
    return platform.api.wait_for(name, "running")


def start_tiny(platform: FaultPlatform) -> Json:
    return start(platform, tiny_server("tiny"), "app")


def python_of(server: Json) -> int:
    """The process that serves: the only child of the container's init."""
    init = inspect(server["container_id"])["State"]["Pid"]
    (child,) = Path(f"/proc/{init}/task/{init}/children").read_text().split()
    return int(child)


@contextmanager
def stopped(server: Json) -> Iterator[None]:
    pid = python_of(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_unresponsive(platform: FaultPlatform, server: Json, reason_code: str) -> Json:
    def told() -> Json | None:
        found = platform.api.server(server["id"])
        is_told = (found["status"], found["reason_code"]) == ("unresponsive", reason_code)
        return found if is_told else None

    return until(f"the server to be unresponsive ({reason_code})", told, TOLD_DEADLINE_SECS)


def events(platform: FaultPlatform, server: Json) -> list[tuple[str, str]]:
    """Kinds and codes of its history, oldest first."""
    found = platform.api.call("GET", f"/api/servers/{server['id']}/events")["events"]
    return [(event["kind"], event["code"]) for event in reversed(found)]


def wait_replaced(platform: FaultPlatform, server: Json) -> Json:
    def runs_anew() -> Json | None:
        found = platform.api.server(server["id"])
        return found if found["status"] == "running" and found["restarts"] > 0 else None

    found = until("the server to be replaced", runs_anew, REPLACED_DEADLINE_SECS)
    assert found["last_error"]["code"] == "unresponsive", found["last_error"]
    assert found["last_error"]["args"]["silent_secs"] >= 5
    assert found["started_at"] > server["started_at"]
    assert ("unresponsive", "not_answering") in events(platform, server)
    return found


def hold(platform: FaultPlatform, server: Json, is_held: bool) -> None:
    platform.api.call("PATCH", f"/api/servers/{server['id']}", json={"hold": is_held})


def call(platform: FaultPlatform, server: Json) -> httpx.Response:
    return platform.api.request("GET", f"/api/{server['name']}/", headers=bearer(platform.admin_token))


def test_a_stopped_process_is_told_everywhere_and_answers_again(patient: FaultPlatform) -> None:
    server = start_tiny(patient)
    with ThreadPoolExecutor(1) as pool:
        with stopped(server):
            told = wait_unresponsive(patient, server, "not_answering")
            assert told["since"] > server["since"]
            assert told["desired"] == "running" and told["container_id"] == server["container_id"]

            overview = patient.api.call("GET", "/api/overview")
            assert overview["by_status"]["unresponsive"] == 1
            (item,) = (each for each in overview["attention"] if each["server"]["id"] == server["id"])
            assert (item["code"], item["status"], item["since"]) == ("unresponsive", "unresponsive", told["since"])
            assert [each["id"] for each in patient.api.call("GET", "/api/servers?status=unresponsive")["servers"]] == [
                server["id"]
            ]
            metrics = httpx.get(f"{patient.internal_url}/metrics", trust_env=False).text
            assert 'emcp_servers{status="unresponsive"} 1' in metrics
            tools = patient.api.request("GET", f"/api/servers/{server['id']}/tools")
            assert tools.status_code == 409 and "unresponsive" in tools.json()["error"]["message"]

            # What EMCP knew of it does not go with EMCP, and a call waits at the gate instead of in the dark.
            patient.kill_emcp()
            patient.start_emcp()
            patient.wait_ready()
            assert patient.api.server(server["id"])["status"] == "unresponsive"
            waiting = pool.submit(call, patient, server)
        assert waiting.result().text == "tiny"
    again = patient.api.wait_for(server["id"], "running")
    assert (again["reason_code"], again["restarts"]) == ("answers_again", 0)
    assert again["started_at"] == server["started_at"]
    assert events(patient, server)[-2:] == [("unresponsive", "not_answering"), ("running", "answers_again")]


def test_a_container_that_was_cut_off_is_connected_again(patient: FaultPlatform) -> None:
    server = start_tiny(patient)
    docker("network", "disconnect", patient.network.name, server["container_id"])
    until(
        "the cut to be told and mended",
        lambda: events(patient, server)[-2:] == [("unresponsive", "network_lost"), ("running", "answers_again")],
        TOLD_DEADLINE_SECS,
    )
    found = patient.api.server(server["id"])
    assert (found["container_id"], found["address"]) == (server["container_id"], server["address"])
    networks = inspect(server["container_id"])["NetworkSettings"]["Networks"]
    assert networks[patient.network.name]["IPAddress"] == server["address"].split(":")[0]
    assert call(patient, server).text == "tiny"


def test_a_container_without_egress_that_was_moved_comes_back_to_its_own_place(patient: FaultPlatform) -> None:
    name = f"watched-{secrets.token_hex(2)}"
    patient.api.create(name, tiny_server("tiny"), entry_object="app", egress="none", start="true")
    server = patient.api.wait_for(name, "running")
    internal = f"{patient.network.name}-internal"
    hold(patient, server, True)
    docker("network", "disconnect", internal, server["container_id"])
    # Whoever connects it again without its address is no help.
    docker("network", "connect", internal, server["container_id"])
    hold(patient, server, False)
    until("its place", lambda: events(patient, server)[-1] == ("running", "answers_again"), TOLD_DEADLINE_SECS)
    assert call(patient, server).text == "tiny"
    networks = inspect(server["container_id"])["NetworkSettings"]["Networks"]
    assert [networks[internal]["IPAddress"]] == [server["address"].split(":")[0]]


def test_a_tool_that_blocks_its_server_is_not_taken_for_silence(impatient: FaultPlatform) -> None:
    """Over both transports at once."""
    with ThreadPoolExecutor() as pool:
        blocked = [pool.submit(_block, impatient, *which) for which in ((SDK1, SseSession), (SDK2, HttpSession))]
        for each in blocked:
            each.result()


def _block(impatient: FaultPlatform, code: str, session: type[SseSession] | type[HttpSession]) -> None:
    server = start(impatient, code)
    with session(impatient.api, server["name"], bearer(impatient.admin_token)) as client:
        assert client.call_tool("block", {"seconds": BUSY_SECS}) == "let go"
        assert [kind for kind, _ in events(impatient, server) if kind == "unresponsive"] == []
        # One that goes on for long is told and never ended, though the platform is impatient.
        assert client.call_tool("block", {"seconds": LONG_SECS}) == "let go"
    until(
        "it to be told and over",
        lambda: events(impatient, server)[-2:] == [("unresponsive", "blocked_in_call"), ("running", "answers_again")],
        TOLD_DEADLINE_SECS,
    )
    found = impatient.api.server(server["id"])
    assert (found["restarts"], found["started_at"]) == (0, server["started_at"])


def test_a_tool_that_keeps_pythons_lock_is_not_taken_for_silence(impatient: FaultPlatform) -> None:
    server = start(impatient, SDK1)
    headers = bearer(impatient.admin_token)
    with HttpSession(impatient.api, server["name"], headers, timeout_secs=COUNTING_DEADLINE_SECS) as client:
        assert client.call_tool("count", {"millions": 600}) == str(600_000_000 * 599_999_999 // 2)
    assert [kind for kind, _ in events(impatient, server) if kind == "error"] == []
    assert impatient.api.server(server["id"])["started_at"] == server["started_at"]


def test_a_stopped_process_is_replaced(impatient: FaultPlatform) -> None:
    server = start_tiny(impatient)
    os.kill(python_of(server), signal.SIGSTOP)
    wait_replaced(impatient, server)
    assert call(impatient, server).text == "tiny"


def test_a_server_that_hangs_without_a_call_is_replaced(impatient: FaultPlatform) -> None:
    server = start(impatient, SDK2)
    # A client that only listens is no call.
    with SseSession(impatient.api, server["name"], bearer(impatient.admin_token)) as client:
        assert client.call_tool("hang_soon", {}) == "soon"
        wait_replaced(impatient, server)
    with HttpSession(impatient.api, server["name"], bearer(impatient.admin_token)) as client:
        assert client.call_tool("block", {"seconds": 0}) == "let go"


def test_a_sleeper_is_not_taken_for_silent_and_a_held_server_is_left_alone(impatient: FaultPlatform) -> None:
    sleeper, held, silent = (start_tiny(impatient) for _ in range(3))
    sleep = {"pause_after_secs": 5, "stop_after_secs": None}
    impatient.api.call("PATCH", f"/api/servers/{sleeper['id']}", json={"sleep": sleep})
    asleep = impatient.api.wait_for(sleeper["id"], "sleeping")
    hold(impatient, held, True)
    with stopped(held):
        wait_unresponsive(impatient, held, "not_answering")
        os.kill(python_of(silent), signal.SIGSTOP)
        # In this time the others were looked at as often.
        wait_replaced(impatient, silent)
        assert impatient.api.server(held["id"])["status"] == "unresponsive"
    again = impatient.api.wait_for(held["id"], "running")
    assert (again["restarts"], again["started_at"]) == (0, held["started_at"])
    assert impatient.api.server(sleeper["id"])["since"] == asleep["since"]
    assert "unresponsive" not in [kind for kind, _ in events(impatient, sleeper)]


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_tool_that_blocks_for_75_seconds_ends_as_it_should_with_the_settings_as_they_are(
    new_platform: Callable[..., FaultPlatform],
) -> None:
    platform = new_platform()
    platform.start()
    server = start(platform, SDK1)
    with SseSession(platform.api, server["name"], bearer(platform.admin_token), silent_secs=120) as client:
        request = client.send("tools/call", {"name": "block", "arguments": {"seconds": 75}})
        while (message := client.next_message(120)).get("id") != request:
            pass
        assert message["result"]["content"][0]["text"] == "let go"
    assert [kind for kind, _ in events(platform, server) if kind in ("unresponsive", "error")] == []
