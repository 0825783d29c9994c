"""An upgrade as `make up` does it: Compose replaces EMCP's container by one of another image, under load."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from load import SERVER, Load
from support import settings
from support.api import Api
from support.clients import bearer
from support.docker import DockerError, containers, docker, remove_containers
from support.network import create_network, free_ports
from support.owner import new_name
from support.streams import SseSession
from support.waits import until

UP_DEADLINE_SECS = 180.0
CALLS_BETWEEN = 20
# Far more than the replacement of a container takes, and well below what Traefik allows.
LONGEST_WAIT_SECS = 20.0

pytestmark = pytest.mark.soak


class ComposePlatform:
    """compose.yml with names, network, ports and images of its own."""

    def __init__(self) -> None:
        self.instance = new_name()
        self.run_dir = Path(tempfile.gettempdir()) / self.instance
        self.data_dir = self.run_dir / "data"
        for folder in ("traefik", "acme", "sockets", "broker"):
            (self.data_dir / folder).mkdir(parents=True)
        self.network = create_network(self.instance, {"emcp.instance": self.instance})
        https, http = free_ports(2)
        self.public_url = f"https://localhost:{https}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EMCP_")},
            "EMCP_INSTANCE": self.instance,
            "EMCP_DATA_DIR": str(self.data_dir),
            "EMCP_NETWORK": self.network.name,
            "EMCP_SUBNET": self.network.subnet,
            "EMCP_INTERNAL_SUBNET": self.network.internal_subnet,
            "EMCP_BASE_IMAGE": settings.base_image(),
            "EMCP_PUBLIC_URL": self.public_url,
            "EMCP_HTTPS_PORT": str(https),
            "EMCP_HTTP_PORT": str(http),
            "EMCP_DOCKER_SOCKET": settings.docker_host().removeprefix("unix://"),
            "EMCP_SOCKETS_IMAGE": self._image("sockets"),
            "EMCP_OOM_SCORE_ADJ": _oom_score_adj(),
        }

    def build(self, *tags: str) -> None:
        """The same binary in images that differ, as two builds of it do."""
        context = self.run_dir / "image"
        context.mkdir()
        shutil.copy(settings.emcp_bin(), context / "emcp")
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
        shutil.copy(settings.REPO_DIR / "compose" / "emcp.Dockerfile", context / "Dockerfile")
        for tag in tags:
            docker("build", "--label", f"test={tag}", "--tag", self._image(tag), str(context), timeout_secs=300)

    def up(self, tag: str) -> None:
        self._compose("up", "-d", EMCP_IMAGE=self._image(tag))

    def start(self) -> None:
        self._compose("run", "--rm", "--no-deps", "-T", "emcp", "init", EMCP_IMAGE=self._image("one"))
        self.up("one")
        self.api = Api(self.public_url, self.data_dir / "ca.crt", (self.data_dir / "admin-token").read_text().strip())
        until("the platform to answer", self._answers, UP_DEADLINE_SECS)

    def container(self, suffix: str = "") -> str:
        return docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", self.instance + suffix)

    def stop(self) -> None:
        self._compose("down", "--timeout", "15", EMCP_IMAGE=self._image("one"))
        remove_containers(containers(self.instance))
        docker("network", "rm", self.network.name, self.network.internal_name)
        images = docker("images", "--quiet", self.instance).split()
        if images:
            docker("image", "rm", "--force", *images)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _logs(self) -> str:
        """What the containers said last, for the report of a failed test."""
        names = [self.instance + suffix for suffix in ("-sockets", "-broker", "", "-traefik")]
        said = [subprocess.run(["docker", "logs", "--tail", "20", name], capture_output=True, text=True) for name in names]
        return "\n".join(f"--- {name}\n{log.stdout}{log.stderr}" for name, log in zip(names, said, strict=True))

    def _image(self, tag: str) -> str:
        return f"{self.instance}:{tag}"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.public_url}/healthz", verify=self.api.tls, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _compose(self, *arguments: str, **more: str) -> None:
        done = subprocess.run(
            [*_compose_command(), "-p", self.instance, "-f", str(settings.REPO_DIR / "compose/compose.yml"), *arguments],
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=UP_DEADLINE_SECS,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self._logs()}"


def _compose_command() -> list[str]:
    has_plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return ["docker", "compose"] if has_plugin else ["docker-compose"]


@pytest.fixture
def platform() -> Iterator[ComposePlatform]:
    platform = ComposePlatform()
    try:
        platform.build("sockets", "one", "two")
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.mark.timeout(900)
def test_no_call_fails_while_compose_replaces_emcp(
    platform: ComposePlatform, tell: Callable[[str], None]
) -> None:
    api = platform.api
    api.create("echo", SERVER, start="true")
    api.wait_for("echo", "running", UP_DEADLINE_SECS)
    token = api.connect_token("client", ["echo"])
    stay = [platform.container("-sockets"), platform.container("-traefik")]
    for suffix in ("", "-traefik"):
        _goes_before_servers(platform.instance + suffix)
    emcp = platform.container()
    took: list[float] = []
    with Load(api, "echo", token) as load, SseSession(api, "echo", bearer(token)) as stream:
        load.wait_for_calls(CALLS_BETWEEN)
        for tag in ("two", "one"):
            began = time.monotonic()
            platform.up(tag)
            took.append(time.monotonic() - began)
            replaced = platform.container()
            assert replaced != emcp, "Compose has not replaced the container"
            emcp = replaced
            load.wait_for_calls(CALLS_BETWEEN)
            # The stream that was open before is the same one.
            assert stream.call_tool("echo", {"text": tag, "work_ms": 0}) == tag
    tell(
        f"{len(load.calls)} calls through {len(took)} changes of image ({max(took):.1f} s at most): "
        f"{len(load.failures())} failed, longest wait {load.longest_secs():.2f} s"
    )
    assert [platform.container("-sockets"), platform.container("-traefik")] == stay
    assert not load.failures(), load.failures()[:10]
    assert load.longest_secs() < LONGEST_WAIT_SECS
    # What operators run in the container finds the listeners elsewhere.
    docker("exec", platform.instance, "emcp", "healthcheck")
    docker("exec", platform.instance, "emcp", "backup", str(platform.data_dir / "backup.tar"))
    assert (platform.data_dir / "backup.tar").stat().st_size > 0


@cache
def _oom_score_adj() -> str:
    """What compose.yml has, or 0 where the engine may not lower it."""
    try:
        docker("run", "--rm", "--network", "none", "--oom-score-adj", "-500", settings.base_image(), "true")
    except DockerError:
        return "0"
    return "-500"


def _goes_before_servers(container: str) -> None:
    """Where processors or memory run short; and it has a limit of its own."""
    [inspected] = json.loads(docker("inspect", container))
    host = inspected["HostConfig"]
    assert host["CpuShares"] == 2048
    assert host["Memory"] == host["MemorySwap"] == 1024**3
    # As the kernel has it.
    assert Path(f"/proc/{inspected['State']['Pid']}/oom_score_adj").read_text().strip() == _oom_score_adj()
