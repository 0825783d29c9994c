"""Idle servers sleep, never while they are in use, and the next request wakes them."""

import time
from collections.abc import Callable
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
IDLE_SECS = 5
PAUSES: Json = {"pause_after_secs": IDLE_SECS, "stop_after_secs": None}
STOPS: Json = {"pause_after_secs": None, "stop_after_secs": IDLE_SECS}
# Two servers for all tests, by how they sleep; a test leaves them as it found them.
SLEEPERS = {"pauses": PAUSES, "stops": STOPS}
RESTS = {"pauses": "paused", "stops": "stopped"}
# The idle time, one look a second, the end of a container, on a machine that is busy with other things.
ASLEEP_DEADLINE_SECS = IDLE_SECS + 55.0
LONGER_THAN_IDLE_SECS = IDLE_SECS + 3
CLIENTS = 20


@pytest.fixture(scope="module")
def sleepy(new_platform: Callable[..., Platform]) -> Platform:
    """A platform with both sleepers, whose EMCP may be killed."""
    platform = new_platform()
    for name in SLEEPERS:
        platform.api.create(name, FIXTURE, start="true")
    for name, sleep in SLEEPERS.items():
        platform.api.wait_for(name, "running")
        set_sleep(platform.api, name, sleep)
    return platform


@pytest.fixture
def headers(sleepy: Platform) -> dict[str, str]:
    return bearer(sleepy.admin_token)


def set_sleep(api: Api, name: str, sleep: Any) -> Json:
    changed: Json = api.call("PATCH", f"/api/servers/{name}", json={"sleep": sleep})
    return changed


def wait_rest(api: Api, name: str, rest: str) -> Json:
    def reached() -> Json | None:
        found = api.server(name)
        assert found["status"] != "error", found
        if (found["status"], found["rest"]) != ("sleeping", rest):
            return None
        # It is shown before it is done, and kept, with a line in the history, once it is done.
        newest = api.call("GET", f"/api/servers/{name}/events")["events"][0]
        return found if newest["message"] == found["reason"] else None

    return until(f"{name} to be {rest}", reached, ASLEEP_DEADLINE_SECS)


def wait_both(platform: Platform) -> dict[str, Json]:
    """Wait until both sleep, and the one that stops has no container left."""
    asleep = {name: wait_rest(platform.api, name, rest) for name, rest in RESTS.items()}
    only = [asleep["pauses"]["container_id"]]
    until("the container of the one that stops to go", lambda: containers(platform.instance) == only, 30)
    return asleep


def history(api: Api, name: str) -> list[str]:
    """Kinds of the server's events, newest first."""
    return [event["kind"] for event in api.call("GET", f"/api/servers/{name}/events")["events"]]


def is_paused(container: str) -> bool:
    paused: bool = inspect(container)["State"]["Paused"]
    return paused


def engine_events(since: float, server: Json, kind: str) -> int:
    """How often an event of the engine happened to a server's containers."""
    filters = ["--filter", f"label=emcp.server={server['id']}", "--filter", f"event={kind}"]
    return len(docker("events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", *filters).splitlines())


def test_an_idle_server_is_paused_and_a_request_wakes_it(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    with HttpSession(api, "pauses", headers) as session:
        assert session.call_tool("add", {"a": 1, "b": 2}) == "3"
        before = api.wait_for("pauses", "running")
        asleep = wait_rest(api, "pauses", "paused")
        assert asleep["reason"] == "paused after 5 s without use; the next request wakes it"
        assert (asleep["reason_code"], asleep["reason_args"]) == ("paused_idle", {"idle_secs": 5})
        assert asleep["restart_needed"] is False
        assert asleep["container_id"] == before["container_id"] and is_paused(before["container_id"])
        assert api.call("GET", "/api/overview")["by_status"]["sleeping"] >= 1

        # Looking on wakes nobody, and neither does who may not come in.
        api.log("pauses")
        assert knock(api, "pauses", {}).status_code == 401
        assert is_paused(before["container_id"])

        # The very session goes on: nothing was lost.
        began = time.monotonic()
        assert session.call_tool("add", {"a": 40, "b": 2}) == "42"
        woken = time.monotonic()
        assert session.call_tool("add", {"a": 1, "b": 1}) == "2"
        usual_ms = (time.monotonic() - woken) * 1000
        print(f"a call to a paused server took {(woken - began) * 1000:.0f} ms, to an awake one {usual_ms:.0f} ms")
    awake = api.server("pauses")
    assert awake["status"] == "running"
    for same in ("container_id", "started_at", "restarts", "desired"):
        assert awake[same] == before[same]
    until("its events", lambda: history(api, "pauses")[:2] == ["running", "sleeping"], 30)


def test_a_server_in_use_never_sleeps(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    servers = [api.server(name) for name in SLEEPERS]
    steps = LONGER_THAN_IDLE_SECS * 10
    count = ("count", {"steps": steps, "pause_ms": 100})
    done = f"counted to {steps}"
    # A stream on which nothing happens for longer than the idle time, beside it a call that takes longer;
    with SseSession(api, "pauses", headers), SseSession(api, "stops", headers):
        began = time.time()
        with HttpSession(api, "pauses", headers) as session:
            assert session.call_tool(*count) == done
    # then such a call alone.
    with HttpSession(api, "pauses", headers) as session:
        assert session.call_tool(*count) == done
    assert engine_events(began, servers[0], "pause") == 0
    assert "pauses" not in [server["name"] for server in api.servers() if server["status"] != "running"]
    # The other one's stream ended at half-time: it slept after that, and not before.
    slept_at = wait_rest(api, "stops", "stopped")["since"]
    assert time.time() - began > LONGER_THAN_IDLE_SECS and slept_at > servers[1]["since"]
    # Once all is over both sleep.
    wait_both(sleepy)


def test_a_server_sleeps_deeper_and_is_started_again(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    before = wait_rest(api, "pauses", "paused")
    set_sleep(api, "pauses", {"pause_after_secs": IDLE_SECS, "stop_after_secs": 2 * IDLE_SECS})
    asleep = wait_rest(api, "pauses", "stopped")
    assert asleep["reason"] == "stopped after 10 s without use; the next request wakes it"
    assert (asleep["desired"], asleep["container_id"], asleep["last_error"]) == ("running", None, None)
    until("its container to go", lambda: before["container_id"] not in containers(sleepy.instance), 30)

    began = time.monotonic()
    assert knock(api, "pauses", headers).status_code == 200
    print(f"a call to a stopped server took {(time.monotonic() - began) * 1000:.0f} ms")
    awake = api.server("pauses")
    assert (awake["status"], awake["address"], awake["restarts"]) == ("running", before["address"], 0)
    set_sleep(api, "pauses", PAUSES)


def test_many_clients_wake_a_server_once(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    asleep = wait_both(sleepy)
    asleep_at = time.time()
    names = [*SLEEPERS] * CLIENTS
    with ThreadPoolExecutor(len(names)) as clients:
        answers = list(clients.map(lambda name: knock(api, name, headers).status_code, names))
    assert answers == [200] * len(names)
    kinds = ("unpause", "create", "start")
    wakes = {name: [engine_events(asleep_at, server, kind) for kind in kinds] for name, server in asleep.items()}
    assert wakes == {"pauses": [1, 0, 0], "stops": [0, 1, 1]}


def test_a_restart_of_emcp_wakes_nobody(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    asleep = wait_both(sleepy)
    asleep_at = time.time()
    sleepy.kill_emcp()
    sleepy.start_emcp()
    sleepy.wait_ready()
    # Once another server has come up, EMCP has looked at everything.
    api.create("other", FIXTURE, start="true")
    api.wait_for("other", "running")
    api.delete("other")
    for name, server in asleep.items():
        assert api.server(name)["since"] == server["since"]
        assert [engine_events(asleep_at, server, kind) for kind in ("unpause", "create", "start")] == [0, 0, 0]
        assert knock(api, name, headers).status_code == 200


def kill(container: str) -> None:
    docker("kill", container)


def remove(container: str) -> None:
    docker("rm", "--force", container)


@pytest.mark.parametrize("harm", [kill, remove])
def test_a_sleeper_that_loses_its_container_sleeps_deeper(
    sleepy: Platform, headers: dict[str, str], harm: Callable[[str], None]
) -> None:
    api = sleepy.api
    harm(wait_rest(api, "pauses", "paused")["container_id"])
    asleep = wait_rest(api, "pauses", "stopped")
    assert "while it was paused" in asleep["reason"]
    assert asleep["last_error"] is None
    assert knock(api, "pauses", headers).status_code == 200
    assert api.server("pauses")["restarts"] == 0


def test_a_sleeper_let_go_on_by_hand_is_awake_and_one_paused_by_hand_goes_on(sleepy: Platform) -> None:
    api = sleepy.api
    container = wait_rest(api, "pauses", "paused")["container_id"]
    set_sleep(api, "pauses", {**PAUSES, "pause_after_secs": 3600})
    docker("unpause", container)
    api.wait_for("pauses", "running")
    docker("pause", container)
    until("EMCP to let it go on", lambda: not is_paused(container), 30)
    assert api.server("pauses")["status"] == "running"
    set_sleep(api, "pauses", PAUSES)


def test_actions_and_settings_on_a_sleeper(sleepy: Platform, headers: dict[str, str]) -> None:
    api = sleepy.api
    before = wait_both(sleepy)
    for name in SLEEPERS:
        started = api.action(name, "start", wait_secs=60)
        assert (started["status"], started["rest"]) == ("running", "awake")
        assert started["container_id"] == before[name]["container_id"] or name == "stops"

    wait_both(sleepy)
    for name, sleep in SLEEPERS.items():
        assert set_sleep(api, name, "never")["sleeps_after"] is None
        api.wait_for(name, "running")
        set_sleep(api, name, sleep)

    asleep = wait_both(sleepy)
    for name in SLEEPERS:
        assert api.action(name, "stop", wait_secs=30)["status"] == "stopped"
        assert knock(api, name, headers).status_code == 503
    # It met SIGTERM awake and ended by itself, rather than being killed.
    assert inspect(asleep["pauses"]["container_id"])["State"]["ExitCode"] == 0
    for name in SLEEPERS:
        assert api.action(name, "start", wait_secs=60)["status"] == "running"


def test_hold_keeps_a_server_awake(sleepy: Platform) -> None:
    api = sleepy.api
    # What the dashboard asks a server for wakes it too, past the gate.
    wait_both(sleepy)
    assert api.call("GET", "/api/servers/pauses/tools")["tools"]
    api.call("PATCH", "/api/servers/pauses", json={"hold": True})
    held = api.server("pauses")
    assert held["status"] == "running"
    # That the other one fell asleep after as long shows that this one would have.
    assert api.call("GET", "/api/servers/stops/tools")["tools"]
    wait_rest(api, "stops", "stopped")
    assert api.server("pauses")["since"] == held["since"] and not is_paused(held["container_id"])
    api.call("PATCH", "/api/servers/pauses", json={"hold": False})
    wait_rest(api, "pauses", "paused")


def test_settings_that_make_no_sense_are_refused(sleepy: Platform) -> None:
    api = sleepy.api
    for sleep in ({}, {"pause_after_secs": 1}, {"pause_after_secs": 60, "stop_after_secs": 60}, "always", 600):
        refused = api.request("PATCH", "/api/servers/stops", json={"sleep": sleep})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["field"]) == (400, "invalid_sleep", "sleep"), sleep
    # What is not named stays; null goes back to the platform's setting.
    assert api.call("PATCH", "/api/servers/stops", json={"description": "x"})["sleep"] == STOPS
    assert set_sleep(api, "stops", None)["sleep"] is None
    set_sleep(api, "stops", STOPS)


def test_by_default_no_server_sleeps(sleepy: Platform) -> None:
    api = sleepy.api
    created = api.create("never-asked", FIXTURE, start="true")
    try:
        assert (created["sleep"], created["sleeps_after"]) == (None, None)
        since = api.wait_for("never-asked", "running")["since"]
        # Used later than the new one, the other falls asleep.
        assert api.call("GET", "/api/servers/pauses/tools")["tools"]
        wait_rest(api, "pauses", "paused")
        after = api.server("never-asked")
        assert (after["status"], after["since"]) == ("running", since)
    finally:
        api.delete("never-asked")


def test_the_platforms_setting_holds_for_who_has_none(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(EMCP_SLEEP_PAUSE_AFTER_SECS=str(IDLE_SECS), EMCP_SLEEP_STOP_AFTER_SECS="3600")
    api = platform.api
    assert api.create("awake", FIXTURE, start="true", sleep="never")["sleep"] == "never"
    assert api.create("own", FIXTURE, sleep='{"stop_after_secs": 60}')["sleeps_after"]["pause_after_secs"] is None
    api.create("sleeper", FIXTURE, start="true")
    sleeper = wait_rest(api, "sleeper", "paused")
    assert sleeper["sleep"] is None
    assert sleeper["sleeps_after"] == {"pause_after_secs": IDLE_SECS, "stop_after_secs": 3600}
    awake = api.wait_for("awake", "running")
    assert awake["sleeps_after"] is None
