"""Idle servers sleep, never while they are in use, and the next request wakes them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conftest import SERVERS_DIR
from support.api import Api
from support.clients import bearer
from support.docker import containers, docker, inspect
from support.running import Platform
from support.streams import HttpSession, SseSession, knock
from support.waits import until

Json = dict[str, Any]

FIXTURE = SERVERS_DIR / "fixture_v1.py"
# The shortest idle time that EMCP takes.
PAUSE_SECS = 5
PAUSES: Json = {"pause_after_secs": PAUSE_SECS}
# Idle time, one look a second, and a machine that is busy with other things.
ASLEEP_DEADLINE_SECS = PAUSE_SECS + 30.0
CALL_SECS = 2 * PAUSE_SECS
CLIENTS = 20


@pytest.fixture(scope="module")
def sleepy(new_platform: Callable[..., Platform]) -> Platform:
    """A platform whose EMCP may be killed."""
    return new_platform()


@pytest.fixture
def server(sleepy: Platform) -> Iterator[Json]:
    """A running server that never sleeps, until its test lets it."""
    sleepy.api.create("sleeper", FIXTURE, start="true")
    yield sleepy.api.wait_for("sleeper", "running")
    gone = set(containers(sleepy.instance))
    sleepy.api.delete("sleeper")
    until("its container to go", lambda: not gone & set(containers(sleepy.instance)), 30)


def set_sleep(api: Api, sleep: Any) -> Json:
    changed: Json = api.call("PATCH", "/api/servers/sleeper", json={"sleep": sleep})
    return changed


def wait_rest(api: Api, rest: str, deadline_secs: float = ASLEEP_DEADLINE_SECS) -> Json:
    def reached() -> Json | None:
        found = api.server("sleeper")
        assert found["status"] != "error", found
        return found if (found["status"], found["rest"]) == ("sleeping", rest) else None

    return until(f"the server to be {rest}", reached, deadline_secs)


def events(api: Api) -> list[str]:
    """What happened since the server was created, oldest first."""
    history = api.call("GET", "/api/servers/sleeper/events", params={"limit": "500"})["events"]
    return [event["kind"] for event in reversed(history)]


def is_paused(container: str) -> bool:
    paused: bool = inspect(container)["State"]["Paused"]
    return paused


def engine_events(since: float, container_of: str, kind: str) -> int:
    """How often an engine event happened to a server's containers."""
    filters = ["--filter", f"label=emcp.server={container_of}", "--filter", f"event={kind}"]
    return len(docker("events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", *filters).splitlines())


def test_an_idle_server_is_paused_and_a_request_wakes_it(sleepy: Platform, server: Json) -> None:
    api, headers = sleepy.api, bearer(sleepy.admin_token)
    with HttpSession(api, "sleeper", headers) as session:
        assert session.call_tool("add", {"a": 1, "b": 2}) == "3"
        assert set_sleep(api, PAUSES)["restart_needed"] is False
        asleep = wait_rest(api, "paused")
        assert asleep["reason"] == "paused after 5 s without use; the next request wakes it"
        assert asleep["container_id"] == server["container_id"] and is_paused(server["container_id"])
        assert api.call("GET", "/api/overview")["by_status"]["sleeping"] == 1

        # Looking on wakes nobody, and neither does who may not come in.
        api.log("sleeper")
        assert knock(api, "sleeper", {}).status_code == 401
        assert is_paused(server["container_id"])

        # The very session goes on: nothing was lost.
        began = time.monotonic()
        assert session.call_tool("add", {"a": 40, "b": 2}) == "42"
        print(f"a call to a paused server took {(time.monotonic() - began) * 1000:.0f} ms")
    awake = api.wait_for("sleeper", "running")
    for same in ("container_id", "started_at", "restarts", "desired"):
        assert awake[same] == server[same]
    assert events(api)[-2:] == ["sleeping", "running"]
    # And again.
    wait_rest(api, "paused")


@pytest.mark.parametrize("sleep", [PAUSES, {"stop_after_secs": PAUSE_SECS}], ids=["pause", "stop"])
def test_a_server_in_use_never_sleeps(sleepy: Platform, server: Json, sleep: Json) -> None:
    api, headers = sleepy.api, bearer(sleepy.admin_token)
    started = time.time()
    # A stream on which nothing happens for longer than the idle time, and then a call that takes longer.
    with SseSession(api, "sleeper", headers):
        set_sleep(api, sleep)
        with HttpSession(api, "sleeper", headers) as quick:
            steps = CALL_SECS * 10
            assert quick.call_tool("count", {"steps": steps, "pause_ms": 100}) == f"counted to {steps}"
    with HttpSession(api, "sleeper", headers) as session:
        assert session.call_tool("count", {"steps": steps, "pause_ms": 100}) == f"counted to {steps}"
    assert engine_events(started, server["id"], "pause") == engine_events(started, server["id"], "die") == 0
    assert api.server("sleeper")["status"] == "running"
    # Once all is over it does.
    wait_rest(api, "paused" if sleep == PAUSES else "stopped")


def test_a_server_sleeps_deeper_and_is_started_again(sleepy: Platform, server: Json) -> None:
    api = sleepy.api
    set_sleep(api, {"pause_after_secs": PAUSE_SECS, "stop_after_secs": 2 * PAUSE_SECS})
    wait_rest(api, "paused")
    asleep = wait_rest(api, "stopped")
    assert asleep["reason"] == "stopped after 10 s without use; the next request wakes it"
    assert (asleep["desired"], asleep["container_id"], asleep["last_error"]) == ("running", None, None)
    until("its container to go", lambda: not containers(sleepy.instance), 30)

    began = time.monotonic()
    assert knock(api, "sleeper", bearer(sleepy.admin_token)).status_code == 200
    print(f"a call to a stopped server took {(time.monotonic() - began) * 1000:.0f} ms")
    awake = api.wait_for("sleeper", "running")
    assert (awake["address"], awake["restarts"]) == (server["address"], 0)
    assert "error" not in events(api)


@pytest.mark.parametrize("rest", ["paused", "stopped"])
def test_many_clients_wake_a_server_once(sleepy: Platform, server: Json, rest: str) -> None:
    api, headers = sleepy.api, bearer(sleepy.admin_token)
    set_sleep(api, PAUSES if rest == "paused" else {"stop_after_secs": PAUSE_SECS})
    wait_rest(api, rest)
    if rest == "stopped":
        until("its container to go", lambda: not containers(sleepy.instance), 30)
    asleep_at = time.time()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda _: knock(api, "sleeper", headers).status_code, range(CLIENTS)))
    assert answers == [200] * CLIENTS
    wakes = {kind: engine_events(asleep_at, server["id"], kind) for kind in ("unpause", "start", "create")}
    once = {"unpause": 1, "start": 0, "create": 0} if rest == "paused" else {"unpause": 0, "start": 1, "create": 1}
    assert wakes == once


@pytest.mark.parametrize("rest", ["paused", "stopped"])
def test_a_restart_of_emcp_wakes_nobody(sleepy: Platform, server: Json, rest: str) -> None:
    api = sleepy.api
    set_sleep(api, PAUSES if rest == "paused" else {"stop_after_secs": PAUSE_SECS})
    wait_rest(api, rest)
    left = containers(sleepy.instance) if rest == "paused" else []
    until("its containers to be as they are left", lambda: containers(sleepy.instance) == left, 30)
    asleep_at = time.time()
    sleepy.kill_emcp()
    # Another server comes up after the restart, so EMCP has looked at everything since.
    sleepy.start_emcp()
    sleepy.wait_ready()
    api.create("other", FIXTURE, start="true")
    api.wait_for("other", "running")
    api.delete("other")
    assert engine_events(asleep_at, server["id"], "unpause") == engine_events(asleep_at, server["id"], "start") == 0
    assert api.server("sleeper")["rest"] == rest
    assert knock(api, "sleeper", bearer(sleepy.admin_token)).status_code == 200
    assert api.server("sleeper")["status"] == "running"


def kill(container: str) -> None:
    docker("kill", container)


def remove(container: str) -> None:
    docker("rm", "--force", container)


@pytest.mark.parametrize("harm", [kill, remove])
def test_a_sleeper_that_loses_its_container_sleeps_deeper(
    sleepy: Platform, server: Json, harm: Callable[[str], None]
) -> None:
    api = sleepy.api
    set_sleep(api, PAUSES)
    wait_rest(api, "paused")
    harm(server["container_id"])
    asleep = wait_rest(api, "stopped")
    assert "while it was paused" in asleep["reason"]
    assert asleep["last_error"] is None
    assert knock(api, "sleeper", bearer(sleepy.admin_token)).status_code == 200
    assert api.server("sleeper")["restarts"] == 0


def test_a_sleeper_let_go_on_by_hand_is_awake_and_one_paused_by_hand_goes_on(sleepy: Platform, server: Json) -> None:
    api = sleepy.api
    docker("pause", server["container_id"])
    until("EMCP to let it go on", lambda: not is_paused(server["container_id"]), 30)
    assert api.server("sleeper")["status"] == "running"
    set_sleep(api, PAUSES)
    wait_rest(api, "paused")
    docker("unpause", server["container_id"])
    api.wait_for("sleeper", "running")


@pytest.mark.parametrize("rest", ["paused", "stopped"])
def test_actions_and_settings_on_a_sleeper(sleepy: Platform, server: Json, rest: str) -> None:
    api = sleepy.api
    sleep = PAUSES if rest == "paused" else {"stop_after_secs": PAUSE_SECS}
    set_sleep(api, sleep)
    wait_rest(api, rest)
    started = api.action("sleeper", "start", wait_secs=60)
    assert (started["status"], started["rest"]) == ("running", "awake")
    if rest == "paused":
        assert started["container_id"] == server["container_id"]

    # "never" wakes it too.
    wait_rest(api, rest)
    assert set_sleep(api, "never")["sleeps_after"] is None
    api.wait_for("sleeper", "running")

    set_sleep(api, sleep)
    wait_rest(api, rest)
    stopped = api.action("sleeper", "stop", wait_secs=30)
    assert stopped["status"] == "stopped"
    if rest == "paused":
        # It met SIGTERM awake and ended by itself, rather than being killed.
        assert inspect(server["container_id"])["State"]["ExitCode"] == 0
    assert knock(api, "sleeper", bearer(sleepy.admin_token)).status_code == 503
    assert api.action("sleeper", "start", wait_secs=60)["status"] == "running"


def test_hold_keeps_a_server_awake(sleepy: Platform, server: Json) -> None:
    api = sleepy.api
    began = time.time()
    api.call("PATCH", "/api/servers/sleeper", json={"sleep": PAUSES, "hold": True})
    # A second server with the same setting that sleeps shows that the first one would have.
    api.create("witness", FIXTURE, start="true", sleep='{"pause_after_secs": 5}')
    api.wait_for("witness", "sleeping")
    assert engine_events(began, server["id"], "pause") == 0
    api.delete("witness")
    api.call("PATCH", "/api/servers/sleeper", json={"hold": False})
    wait_rest(api, "paused")


def test_settings_that_make_no_sense_are_refused(sleepy: Platform, server: Json) -> None:
    api = sleepy.api
    for sleep in ({}, {"pause_after_secs": 1}, {"pause_after_secs": 60, "stop_after_secs": 60}, "always", 600):
        refused = api.request("PATCH", "/api/servers/sleeper", json={"sleep": sleep})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["field"]) == (400, "invalid_sleep", "sleep"), sleep
    assert (server["sleep"], server["sleeps_after"], server["rest"]) == (None, None, "awake")
    times = {"pause_after_secs": None, "stop_after_secs": 3600}
    assert set_sleep(api, {"stop_after_secs": 3600})["sleep"] == times
    # What is not named stays; null goes back to the platform's setting.
    assert api.call("PATCH", "/api/servers/sleeper", json={"description": "x"})["sleep"] == times
    assert set_sleep(api, None)["sleep"] is None
    created = api.create("never", FIXTURE, sleep="never")
    assert created["sleep"] == "never"
    api.delete("never")


def test_the_platforms_setting_holds_for_who_has_none(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(EMCP_SLEEP_PAUSE_AFTER_SECS="5", EMCP_SLEEP_STOP_AFTER_SECS="3600")
    api = platform.api
    api.create("awake", FIXTURE, start="true", sleep="never")
    api.create("sleeper", FIXTURE, start="true")
    sleeper = wait_rest(api, "paused", 90)
    assert (sleeper["sleep"], sleeper["sleeps_after"]) == (None, {"pause_after_secs": 5, "stop_after_secs": 3600})
    assert api.wait_for("awake", "running")["sleeps_after"] is None
