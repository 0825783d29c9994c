"""EMCP may die at any moment: servers go on serving, and EMCP finds everything again when it is back."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from conftest import SERVERS_DIR
from support.api import TRUSTS_NOBODY
from support.clients import bearer
from support.docker import containers, docker, inspect
from support.running import Platform
from support.streams import SseSession, knock
from support.waits import until

Json = dict[str, Any]

EVENTS_WHILE_DOWN = 10
FIXTURE = SERVERS_DIR / "fixture_v1.py"


@pytest.fixture(scope="module")
def mortal(new_platform: Callable[..., Platform]) -> Platform:
    """A platform whose EMCP is killed, with one server on it."""
    platform = new_platform()
    platform.api.create("survivor", FIXTURE)
    platform.api.set_env("survivor", [{"key": "KEPT", "value": "kept-secret-value", "is_secret": True}])
    platform.api.action("survivor", "start", wait_secs=60)
    platform.api.wait_for("survivor", "running")
    return platform


def test_an_open_session_lives_through_the_death_of_emcp(mortal: Platform) -> None:
    before = mortal.api.server("survivor")
    container_before = inspect(before["container_id"])
    token = mortal.api.connect_token("survivor-client", ["survivor"])

    with SseSession(mortal.api, "survivor", bearer(token)) as session:
        session.send("tools/call", {"name": "count", "arguments": {"steps": 100_000, "pause_ms": 50}}, "endless")
        assert session.next_message()["method"] == "notifications/progress"

        mortal.kill_emcp()
        # The stream goes on without EMCP.
        last = 0.0
        for _ in range(EVENTS_WHILE_DOWN):
            last = session.next_message()["params"]["progress"]
        # Without a gate there is no way in, rather than a way in for all.
        assert knock(mortal.api, "survivor", bearer(token)).status_code >= 500
        assert knock(mortal.api, "survivor", {}).status_code >= 500

        mortal.start_emcp()
        mortal.wait_ready()
        # The same stream, and the same session's requests again.
        assert session.next_message()["params"]["progress"] > last
        assert session.call_tool("add", {"a": 40, "b": 2}) == "42"

    after = mortal.api.wait_for("survivor", "running")
    container_after = inspect(after["container_id"])
    assert after["container_id"] == before["container_id"]
    assert container_after["State"]["StartedAt"] == container_before["State"]["StartedAt"]
    assert containers(mortal.instance) == [before["container_id"]]
    for unchanged in ("id", "name", "address", "version", "restarts", "restart_needed", "created_at", "urls"):
        assert after[unchanged] == before[unchanged]


def test_secrets_and_tokens_are_there_again(mortal: Platform) -> None:
    token = mortal.api.connect_token("before-the-kill", ["survivor"])
    mortal.kill_emcp()
    mortal.start_emcp()
    mortal.wait_ready()
    with SseSession(mortal.api, "survivor", bearer(token)) as session:
        assert session.call_tool("environment", {"key": "KEPT"}) == "kept-secret-value"
    # And the sealed value still opens for a new container.
    mortal.api.action("survivor", "restart", wait_secs=60)
    mortal.api.wait_for("survivor", "running")
    with SseSession(mortal.api, "survivor", bearer(token)) as session:
        assert session.call_tool("environment", {"key": "KEPT"}) == "kept-secret-value"


def test_a_start_that_was_cut_off_is_finished(mortal: Platform) -> None:
    server = mortal.api.create("cut-off", FIXTURE, start="true")
    mortal.kill_emcp()
    mortal.start_emcp()
    server = mortal.api.wait_for(server["id"], "running")
    assert knock(mortal.api, "cut-off", bearer(mortal.admin_token)).status_code == 200
    assert len(containers(mortal.instance)) == 2
    mortal.api.delete("cut-off")
    until("its container to go", lambda: server["container_id"] not in containers(mortal.instance), 30)


def test_a_container_that_went_while_emcp_was_dead_is_made_anew(mortal: Platform) -> None:
    before = mortal.api.server("survivor")["container_id"]
    mortal.kill_emcp()
    docker("rm", "--force", before)
    mortal.start_emcp()
    mortal.wait_ready()

    def made_anew() -> Json | None:
        server = mortal.api.server("survivor")
        return server if server["status"] == "running" and server["container_id"] != before else None

    server = until("the survivor to run in a new container", made_anew, 60)
    assert containers(mortal.instance) == [server["container_id"]]
    assert knock(mortal.api, "survivor", bearer(mortal.admin_token)).status_code == 200


def test_a_container_that_went_while_emcp_lives_is_made_anew(mortal: Platform) -> None:
    before = mortal.api.wait_for("survivor", "running")["container_id"]
    docker("rm", "--force", before)
    # A client that comes now is held until the new one is ready, or told to come back; never lied to.
    answer = knock(mortal.api, "survivor", bearer(mortal.admin_token))
    assert answer.status_code in (200, 502, 503)

    def made_anew() -> Json | None:
        server = mortal.api.server("survivor")
        return server if server["status"] == "running" and server["container_id"] != before else None

    until("the survivor to run in a new container", made_anew, 60)


def test_a_stopped_server_stays_stopped(mortal: Platform) -> None:
    mortal.api.action("survivor", "stop", wait_secs=30)
    mortal.kill_emcp()
    mortal.start_emcp()
    mortal.wait_ready()
    server = mortal.api.server("survivor")
    assert (server["status"], server["desired"]) == ("stopped", "stopped")
    answer = knock(mortal.api, "survivor", bearer(mortal.admin_token))
    assert answer.status_code == 503


def test_emcp_refuses_to_start_twice_on_one_data_directory(mortal: Platform) -> None:
    """Two of them would fight over the same containers."""
    code, output = mortal.try_second_emcp()
    assert code != 0
    assert "in use" in output or "lock" in output, output
    assert httpx.get(f"{mortal.upstream_url}/healthz", verify=TRUSTS_NOBODY, trust_env=False).is_success
