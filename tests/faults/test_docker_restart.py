"""The Docker daemon goes and comes back during work: EMCP says so meanwhile, and brings everything back by itself."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from daemon import INTERFACES_FILE, Daemon, new_home, processes_of, remove_dead_daemons, remove_remains
from harness import FaultPlatform, Json
from support import settings
from support.docker import docker
from support.tiny import tiny_server
from support.waits import until

DAEMON_DEADLINE_SECS = 60.0
RECOVERY_DEADLINE_SECS = 120.0
PROMPT_SECS = 10.0
DOCKER0 = Path("/sys/class/net/docker0")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd: a daemon of its own must be started")
    had_docker0 = DOCKER0.exists()
    made = Daemon(new_home())
    try:
        made.make_bridge()
        made.start()
    except (AssertionError, OSError, subprocess.CalledProcessError) as error:
        remove_remains(made.home)
        pytest.skip(f"a second daemon cannot be started here: {error}")
    try:
        assert DOCKER0.exists() == had_docker0, "the private daemon has touched the machine's default bridge"
        made.load(settings.base_image())
        yield made
    finally:
        # Nicely where that goes, so that the daemon's own ways of cleaning up are what is usually seen.
        try:
            made.remove_everything()
        finally:
            remove_remains(made.home)


@pytest.fixture(scope="module")
def platform(daemon: Daemon) -> Iterator[FaultPlatform]:
    """A platform on the private daemon."""
    with pytest.MonkeyPatch.context() as patch:
        # The drivers' docker commands go to the same engine as EMCP's.
        patch.setenv("EMCP_DOCKER_HOST", daemon.host)
        patch.setattr(FaultPlatform, "bridges", daemon.network_bridges)
        made = FaultPlatform()
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def down(request: pytest.FixtureRequest, daemon: Daemon, platform: FaultPlatform) -> Iterator[Callable[[], None]]:
    """With one server running (`runs`) and one stopped (`rests`), the daemon ends; call it to bring it back."""
    platform.api.create("runs", tiny_server("runs"), entry_object="app", start="true")
    platform.api.create("rests", tiny_server("rests"), entry_object="app")
    platform.api.wait_for("runs", "running")
    daemon.stop(request.param)
    yield daemon.start
    if not daemon.answers():
        daemon.start()
    if not platform.is_alive():
        platform.start_emcp()
    for server in platform.api.servers():
        platform.api.delete(server["id"])
    platform.wait_settled(RECOVERY_DEADLINE_SECS)


def test_readiness_names_docker_and_the_api_answers_meanwhile(
    platform: FaultPlatform, down: Callable[[], None]
) -> None:
    checks = until("readiness to name Docker", lambda: _checks(platform, is_ok=False), PROMPT_SECS)
    assert checks["store"] == "ok"
    with platform.direct(timeout_secs=PROMPT_SECS) as http:
        assert http.get("/healthz").is_success
        assert {each["name"] for each in http.get("/api/servers").json()["servers"]} == {"runs", "rests"}
        assert http.get("/api/overview").is_success
        # What is wanted can be written down at any time; it is done when the daemon is back.
        started = http.post("/api/servers/rests/action", json={"action": "start"})
        assert started.status_code == 202, started.text
        code = tiny_server("meanwhile")
        created = http.post("/api/servers", json={"name": "meanwhile", "code": code, "entry_object": "app"})
        assert created.status_code == 201, created.text
    down()
    until("Docker to be ready again", lambda: _checks(platform, is_ok=True), DAEMON_DEADLINE_SECS)
    assert _statuses(platform) == {"runs": "running", "rests": "running", "meanwhile": "running"}
    for name in ("runs", "rests", "meanwhile"):
        until(f"{name} to answer", lambda name=name: _says(platform, name) == name, RECOVERY_DEADLINE_SECS)


def test_an_end_of_the_engine_is_not_told_as_one_of_the_server(
    platform: FaultPlatform, down: Callable[[], None]
) -> None:
    down()
    until("it to run again", lambda: _statuses(platform).get("runs") == "running", RECOVERY_DEADLINE_SECS)
    with platform.direct() as http:
        server = http.get("/api/servers/runs").raise_for_status().json()
        events = http.get("/api/servers/runs/events").raise_for_status().json()["events"]
    codes = [event["code"] for event in events]
    assert codes.count("engine_restarted") == 1, codes
    assert not [code for code in codes if code.startswith("failed")], codes
    assert server["restarts"] == 0, server
    assert not server.get("last_error"), server


def test_a_crash_is_still_told_as_one_after_the_engine_came_back(
    platform: FaultPlatform, down: Callable[[], None]
) -> None:
    down()
    assert _statuses(platform)["runs"] == "running"
    docker("kill", platform.container_of("runs"))

    def is_told() -> Json | None:
        server = platform.api.server("runs")
        return server if server["status"] == "running" and server["restarts"] == 1 else None

    server = until("the crash to be counted", is_told, RECOVERY_DEADLINE_SECS)
    assert server["last_error"]["code"] == "crashed", server


def test_a_stop_and_a_deletion_meanwhile_are_done_afterwards(platform: FaultPlatform, down: Callable[[], None]) -> None:
    with platform.direct(timeout_secs=PROMPT_SECS) as http:
        assert http.post("/api/servers/runs/action", json={"action": "stop"}).status_code == 202
        assert http.delete("/api/servers/rests").status_code == 204
    down()
    assert _statuses(platform) == {"runs": "stopped"}


def test_emcp_started_while_docker_is_down_ends_in_the_wanted_state(
    platform: FaultPlatform, down: Callable[[], None]
) -> None:
    """After a power cut both start at once, in whichever order. EMCP waits, and says in its log for what."""
    platform.kill_emcp()
    said_before = platform.emcp_log.stat().st_size
    platform.spawn_emcp()

    def says_what_it_waits_for() -> bool:
        assert platform.is_alive(), "EMCP gave up"
        return b"waiting for Docker Engine" in platform.emcp_log.read_bytes()[said_before:]

    until("EMCP to say that it waits", says_what_it_waits_for, PROMPT_SECS)
    down()
    platform.wait_ready()
    assert _statuses(platform) == {"runs": "running", "rests": "stopped"}


def _statuses(platform: FaultPlatform) -> dict[str, str]:
    """Once everything has come to rest."""
    return {server["name"]: server["status"] for server in platform.wait_settled(RECOVERY_DEADLINE_SECS)}


def _checks(platform: FaultPlatform, *, is_ok: bool) -> Json | None:
    """What readiness says of each part, once it says this of Docker."""
    answer: Json = httpx.get(f"{platform.internal_url}/readyz", timeout=PROMPT_SECS, trust_env=False).json()
    checks: Json = answer["checks"]
    return checks if (checks["docker"] == "ok") is is_ok else None


def _says(platform: FaultPlatform, name: str) -> str:
    return platform.api.request("GET", f"/api/{name}/").text


def test_nothing_is_left_of_a_daemon_whose_test_run_was_killed() -> None:
    """What stands for the run starts a daemon with a container and a network, and is killed at once."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd: a daemon of its own must be started")
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'e2e'}"}
    run = subprocess.Popen([sys.executable, "-c", A_RUN], env=environment, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    home = Path(run.stdout.readline().strip())
    try:
        assert run.stdout.readline() == "ready\n"
        interfaces = (home / INTERFACES_FILE).read_text().split()
        run.kill()
        run.wait()
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(home)]
        assert any(b"a-container" in command for command in commands), commands
        assert all(Path("/sys/class/net", name).exists() for name in interfaces[:2])
    finally:
        run.kill()
        run.wait()
        removed = remove_dead_daemons()
    assert home.name in removed
    assert not processes_of(home)
    assert not home.exists()
    assert str(home) not in Path("/proc/mounts").read_text()
    assert not any(Path("/sys/class/net", name).exists() for name in interfaces)


# The image is one static binary, which does not look at its arguments before it serves.
A_RUN = """
import io, signal, subprocess, tarfile
from daemon import Daemon, new_home
from support.network import free_subnet
from support.settings import traefik_bin

daemon = Daemon(new_home())
print(daemon.home, flush=True)
daemon.make_bridge()
daemon.start()
docker = ["docker", "--host", daemon.host]
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w") as archive:
    archive.add(traefik_bin(), "traefik")
subprocess.run([*docker, "import", "-", "static"], input=tar.getvalue(), check=True, stdout=subprocess.DEVNULL)
bridge = f"com.docker.network.bridge.name={daemon.network_bridges[0]}"
with free_subnet(24) as subnet:
    network = [*docker, "network", "create", "--subnet", str(subnet), "--opt", bridge, "net"]
    subprocess.run(network, check=True, stdout=subprocess.DEVNULL)
command = ["run", "--detach", "--network", "net", "static", "/traefik", "--entrypoints.a-container.address=:80"]
subprocess.run([*docker, *command], check=True, stdout=subprocess.DEVNULL)
print("ready", flush=True)
signal.pause()
"""
