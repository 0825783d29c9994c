"""Whatever somebody does to a server's container by hand, the server runs again without help."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator

import httpx
import pytest
from harness import FaultPlatform, Json, server_of
from support import settings
from support.clients import bearer
from support.docker import containers, docker, inspect, remove_containers
from support.tiny import tiny_server
from support.waits import until

RECOVERY_DEADLINE_SECS = 60.0


@pytest.fixture
def server(platform: FaultPlatform) -> Iterator[Json]:
    """A running server."""
    name = f"victim-{secrets.token_hex(2)}"
    made = platform.api.create(name, tiny_server(name), entry_object="app", start="true")
    yield platform.api.wait_for(made["id"], "running")
    platform.api.delete(made["id"])


def remove(container: str) -> None:
    docker("rm", "--force", container)


def stop(container: str) -> None:
    docker("stop", "--time", "1", container)


def kill_its_process(container: str) -> None:
    os.kill(inspect(container)["State"]["Pid"], signal.SIGKILL)


def end_its_process(container: str) -> None:
    os.kill(inspect(container)["State"]["Pid"], signal.SIGTERM)


def restart(container: str) -> None:
    docker("restart", "--time", "1", container)


def pause(container: str) -> None:
    docker("pause", container)


@pytest.mark.parametrize("harm", [remove, stop, kill_its_process, end_its_process, restart, pause])
def test_a_server_runs_again_after(platform: FaultPlatform, server: Json, harm: Callable[[str], None]) -> None:
    before = inspect(server["container_id"])
    harm(server["container_id"])
    run_before = (before["Id"], before["State"]["StartedAt"])

    def runs_again() -> Json | None:
        found = platform.api.server(server["id"])
        assert found["status"] != "error" or found["retry_at"], f"EMCP has given up: {found['last_error']}"
        if found["status"] != "running":
            return None
        own = [each for each in platform.own_containers() if server_of(each) == server["id"]]
        if len(own) != 1 or not own[0]["State"]["Running"] or own[0]["State"]["Paused"]:
            return None
        is_new_run = (own[0]["Id"], own[0]["State"]["StartedAt"]) != run_before
        # A frozen process goes on where it was; everything else makes a new run.
        return found if is_new_run or harm is pause else None

    after = until("the server to run again", runs_again, RECOVERY_DEADLINE_SECS)
    # What is said to be running must be: the same address answers, through Traefik and the gate.
    assert after["address"] == server["address"]
    answer = until("an answer through Traefik", lambda: _answer(platform, server["name"]), RECOVERY_DEADLINE_SECS)
    assert answer == server["name"]


def test_harm_while_emcp_is_dead_is_mended_when_it_is_back(platform: FaultPlatform, server: Json) -> None:
    platform.kill_emcp()
    docker("pause", server["container_id"])
    platform.start_emcp()
    until("an answer through Traefik", lambda: _answer(platform, server["name"]), RECOVERY_DEADLINE_SECS)
    assert not inspect(server["container_id"])["State"]["Paused"]


def test_a_container_without_a_server_is_removed(platform: FaultPlatform) -> None:
    orphan = _run_foreign(platform.instance, "01890000-0000-7000-8000-000000000000")
    try:
        until("the orphan to go", lambda: orphan not in containers(platform.instance), RECOVERY_DEADLINE_SECS)
    finally:
        remove_containers([each for each in [orphan] if each in containers(platform.instance)])


def test_a_container_of_another_instance_is_left_alone(platform: FaultPlatform) -> None:
    other = f"{platform.instance}-other"
    foreign = _run_foreign(other, "01890000-0000-7000-8000-000000000001")
    orphan = _run_foreign(platform.instance, "01890000-0000-7000-8000-000000000002")
    try:
        # Once the orphan made after it is gone, EMCP has looked at everything since.
        until("the orphan to go", lambda: orphan not in containers(platform.instance), RECOVERY_DEADLINE_SECS)
        platform.kill_emcp()
        platform.start_emcp()
        platform.wait_ready()
        platform.wait_settled()
        assert inspect(foreign)["State"]["Running"]
    finally:
        remove_containers([foreign])
        remove_containers([each for each in [orphan] if each in containers(platform.instance)])


def _run_foreign(instance: str, server: str) -> str:
    """A container with EMCP's labels that EMCP did not make."""
    labels = ["--label", f"emcp.instance={instance}", "--label", f"emcp.server={server}"]
    versions = ["--label", "emcp.generation=1", "--label", "emcp.revision=1"]
    return docker("run", "--detach", *labels, *versions, "--entrypoint", "sleep", settings.base_image(), "600")


def _answer(platform: FaultPlatform, name: str) -> str | None:
    try:
        response = platform.api.request("GET", f"/api/{name}/", headers=bearer(platform.admin_token))
    except httpx.TransportError:
        return None
    return response.text if response.status_code == 200 else None
