"""Docker Engine hangs: it accepts and never answers. EMCP goes on, ends at once, and does what is left to do later."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import FaultPlatform
from support import settings
from support.tap import EngineTap
from support.tiny import tiny_server
from support.waits import until

# Far less than the 60 s for which EMCP waits for the headers of an answer, or the 30 s between two full looks.
PROMPT_SECS = 15.0
RECOVERY_SECS = 120.0


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineTap]:
    with tempfile.TemporaryDirectory() as directory:
        tap = EngineTap(Path(directory) / "docker.sock", settings.docker_host())
        yield tap
        tap.close()


@pytest.fixture(scope="module")
def platform(engine: EngineTap) -> Iterator[FaultPlatform]:
    """A platform whose EMCP asks the engine that can hang, with one running server."""
    if not settings.docker_host().startswith("unix://"):
        pytest.skip("needs an engine behind a Unix socket")
    made = FaultPlatform(EMCP_DOCKER_HOST=engine.host)
    try:
        made.start()
        made.api.create("runs", tiny_server("runs"), entry_object="app", start="true")
        made.api.create("rests", tiny_server("rests"), entry_object="app")
        made.api.wait_for("runs", "running")
        yield made
    finally:
        engine.go_on()
        made.stop()


@pytest.fixture(autouse=True)
def hung(engine: EngineTap, platform: FaultPlatform) -> Iterator[None]:
    """The engine hangs while EMCP looks at all its containers."""
    before = len(engine.asked())
    engine.hang()
    until("EMCP to ask for its containers", lambda: _asks_for_all(engine.asked()[before:]), PROMPT_SECS)
    yield
    engine.go_on()


def test_readiness_names_it_in_time(platform: FaultPlatform) -> None:
    with httpx.Client(trust_env=False, timeout=PROMPT_SECS) as http:
        checks = http.get(f"{platform.internal_url}/readyz").json()["checks"]
    assert checks["docker"] != "ok"
    # The platforms of these tests have a broker, which answers for itself.
    assert checks["broker"] == checks["store"] == checks["traefik"] == "ok"


def test_the_api_the_gate_and_wake_ups_go_on_and_nothing_is_forgotten(
    platform: FaultPlatform, engine: EngineTap
) -> None:
    with platform.direct(timeout_secs=PROMPT_SECS) as http:
        created = http.post("/api/servers", json={"name": "new", "code": tiny_server("new"), "entry_object": "app"})
        assert created.status_code == 201, created.text
        assert http.post("/api/servers/rests/action", json={"action": "start"}).status_code == 202

        def is_taken_up(name: str) -> bool:
            # Both wishes are noted by the reconciler, which can do no more of them.
            return http.get(f"/api/servers/{name}").json()["status"] == "building"

        for name in ("new", "rests"):
            until(f"{name} to be taken up", lambda name=name: is_taken_up(name), PROMPT_SECS)
        assert http.get("/api/overview").is_success
        assert http.get("/api/settings").json().get("engine") is None
    # What runs is reached through Traefik and the gate.
    assert platform.api.request("GET", "/api/runs/").text == "runs"

    engine.go_on()
    servers = {server["name"]: server["status"] for server in platform.wait_settled(RECOVERY_SECS)}
    assert servers == {"runs": "running", "rests": "running", "new": "running"}
    platform.api.action("rests", "stop", wait_secs=30)
    platform.api.delete("new")
    platform.wait_settled()


@pytest.mark.parametrize("when", ["while it runs", "while it starts"])
def test_emcp_ends_at_once(platform: FaultPlatform, engine: EngineTap, when: str) -> None:
    if when == "while it starts":
        platform.kill_emcp()
        platform.start_emcp()
    try:
        # Its deadline is far below what EMCP gives the engine for an answer.
        code = platform.terminate_emcp()
    except subprocess.TimeoutExpired:
        platform.kill_emcp()
        code = None
    # It can come again whatever came of this.
    engine.go_on()
    platform.start_emcp()
    platform.wait_ready()
    assert code == 0, "it did not end in time"
    assert {each["name"]: each["status"] for each in platform.wait_settled()} == {"runs": "running", "rests": "stopped"}


def _asks_for_all(asked: list[str]) -> bool:
    """Whether all containers were asked for, rather than one server's."""
    return any("/containers/json" in request and "emcp.server" not in request for request in asked)
