"""The Docker daemon goes and comes back during work: EMCP says so meanwhile, and brings everything back by itself."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import FaultPlatform, Json, tiny_server
from support import settings
from support.leftovers import record_process
from support.owner import new_name
from support.waits import until

DAEMON_DEADLINE_SECS = 60.0
IMAGE_TIMEOUT_SECS = 300
RECOVERY_DEADLINE_SECS = 120.0
PROMPT_SECS = 10.0
DOCKER0 = Path("/sys/class/net/docker0")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


class Daemon:
    """A Docker daemon of its own: nothing it does is seen by the machine's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host = f"unix://{home}/docker.sock"
        self.log = home / "dockerd.log"
        # Below the 15 characters a name of an interface may have.
        self.bridge = f"emcp{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def make_bridge(self) -> None:
        """A default bridge of its own: with `--bridge none` a daemon deletes docker0, which is the machine's."""
        address = f"198.19.255.{random.randrange(64) * 4 + 1}/30"
        for arguments in (
            ["link", "add", "name", self.bridge, "type", "bridge"],
            ["addr", "add", address, "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
        ):
            subprocess.run(["ip", *arguments], check=True, capture_output=True)

    def remove_bridge(self) -> None:
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, capture_output=True)

    def start(self) -> None:
        self._forget_dead_containerd()
        # It must leave the machine's packet filter to the machine's own daemon. EMCP reaches containers from the
        # host over their network's bridge, which needs none.
        command = ["dockerd", "--host", self.host, "--data-root", str(self.home / "data"), "--bridge", self.bridge]
        command += ["--exec-root", str(self.home / "exec"), "--pidfile", str(self.home / "docker.pid")]
        command += ["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=self.home)
        record_process(self.home, self._process.pid)
        until("the daemon to answer", self._answers_or_ended, DAEMON_DEADLINE_SECS)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(DAEMON_DEADLINE_SECS)

    def remove_everything(self) -> None:
        """Leave no container and no bridge, also where a test failed while the daemon was down."""
        if not self.answers():
            self.start()
        for kind, listing in (("container", ["ls", "--all"]), ("network", ["ls", "--filter", "type=custom"])):
            ids = self._docker(kind, *listing, "--quiet").split()
            if ids:
                self._docker(kind, "rm", *(["--force"] if kind == "container" else []), *ids)
        self.stop()

    def _docker(self, *arguments: str) -> str:
        command = ["docker", "--host", self.host, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout

    def _forget_dead_containerd(self) -> None:
        """A killed daemon takes its containerd along. Where nothing reaps that one, the next daemon waits for it."""
        pid_file = self.home / "exec" / "containerd" / "containerd.pid"
        if not pid_file.exists():
            return
        status = Path(f"/proc/{pid_file.read_text().strip()}/status")
        until("containerd to end", lambda: not status.exists() or "State:\tZ" in status.read_text(), 10)
        pid_file.unlink()

    def load(self, image: str) -> None:
        """Copy an image from the machine's engine."""
        save = subprocess.Popen(["docker", "--host", settings.docker_host(), "save", image], stdout=subprocess.PIPE)
        load = ["docker", "--host", self.host, "load"]
        subprocess.run(load, stdin=save.stdout, check=True, timeout=IMAGE_TIMEOUT_SECS, stdout=subprocess.DEVNULL)
        assert save.wait() == 0

    def _answers_or_ended(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the daemon ended:\n{self.log.read_text()[-2000:]}")
        return self.answers()

    def answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        command = ["docker", "--host", self.host, "version"]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd: a daemon of its own must be started")
    home = Path(tempfile.gettempdir()) / f"{new_name()}-dockerd"
    home.mkdir()
    made = Daemon(home)
    had_docker0 = DOCKER0.exists()
    try:
        made.make_bridge()
        made.start()
    except (AssertionError, OSError, subprocess.CalledProcessError) as error:
        made.stop()
        made.remove_bridge()
        _unmount_below(home)
        shutil.rmtree(home, ignore_errors=True)
        pytest.skip(f"a second daemon cannot be started here: {error}")
    try:
        assert DOCKER0.exists() == had_docker0, "the private daemon has touched the machine's default bridge"
        made.load(settings.base_image())
        yield made
    finally:
        made.remove_everything()
        made.remove_bridge()
        _unmount_below(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def platform(daemon: Daemon) -> Iterator[FaultPlatform]:
    """A platform on the private daemon."""
    with pytest.MonkeyPatch.context() as patch:
        # The drivers' docker commands go to the same engine as EMCP's.
        patch.setenv("EMCP_DOCKER_HOST", daemon.host)
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


def test_a_stop_and_a_deletion_meanwhile_are_done_afterwards(platform: FaultPlatform, down: Callable[[], None]) -> None:
    with platform.direct(timeout_secs=PROMPT_SECS) as http:
        assert http.post("/api/servers/runs/action", json={"action": "stop"}).status_code == 202
        assert http.delete("/api/servers/rests").status_code == 204
    down()
    assert _statuses(platform) == {"runs": "stopped"}


def test_emcp_started_while_docker_is_down_ends_in_the_wanted_state(
    platform: FaultPlatform, down: Callable[[], None]
) -> None:
    """After a power cut both start at once, in whichever order."""
    platform.kill_emcp()
    platform.start_emcp()
    until("readiness to name Docker", lambda: _checks(platform, is_ok=False), PROMPT_SECS)
    down()
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


def _unmount_below(home: Path) -> None:
    """A daemon that was killed leaves mounts, deepest last."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([each for each in mounts if Path(each).is_relative_to(home)]):
        subprocess.run(["umount", "--lazy", mount], check=False)
