"""The broker alone has the engine: what EMCP's container can do through it, and what happens while it is away."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import FaultPlatform
from support import settings
from support.docker import containers, docker, inspect, remove_containers
from support.network import create_network
from support.owner import new_name
from support.tiny import tiny_server
from support.waits import until
from test_compose import _compose_command, _oom_score_adj

Json = dict[str, Any]

UP_DEADLINE_SECS = 180.0
SETTLE_DEADLINE_SECS = 60.0
NOT_THERE = {"Err": "NoSuchContainer"}
# What a taken-over EMCP would like to say of a container.
FORBIDDEN_FIELDS: Json = {
    "privileged": True,
    "image": "debian:bookworm-slim",
    "mounts": [{"source": "/", "target": "/host"}],
    "network": "host",
    "cap_add": ["SYS_ADMIN"],
    "user": "0:0",
    "env": [["LD PRELOAD", "x"]],
    "stop_grace_secs": 100_000,
    "disk_bytes": 1 << 50,
}


class Attacked:
    """The broker as compose.yml runs it, and a program of ours in the place of EMCP."""

    def __init__(self) -> None:
        self.instance = new_name()
        self.run_dir = Path(tempfile.gettempdir()) / self.instance
        self.data_dir = self.run_dir / "data"
        for folder in ("traefik", "acme", "sockets", "broker"):
            (self.data_dir / folder).mkdir(parents=True)
        self.victim_folder = self.run_dir / "victim"
        self.victim_folder.mkdir()
        self.network = create_network(self.instance, {"emcp.instance": self.instance})
        self.image = f"{self.instance}:emcp"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EMCP_")},
            "EMCP_INSTANCE": self.instance,
            "EMCP_DATA_DIR": str(self.data_dir),
            "EMCP_NETWORK": self.network.name,
            "EMCP_SUBNET": self.network.subnet,
            "EMCP_INTERNAL_SUBNET": self.network.internal_subnet,
            "EMCP_BASE_IMAGE": settings.base_image(),
            "EMCP_DOCKER_SOCKET": settings.docker_host().removeprefix("unix://"),
            "EMCP_IMAGE": self.image,
            "EMCP_MAX_MEMORY": "128m",
            "EMCP_OOM_SCORE_ADJ": _oom_score_adj(),
        }

    def build(self) -> None:
        """EMCP's binary where there is a Python too, for the program."""
        context = self.run_dir / "image"
        context.mkdir()
        shutil.copy(settings.emcp_bin(), context / "emcp")
        (context / "Dockerfile").write_text(
            f"FROM {settings.base_image()}\nUSER 0:0\nCOPY emcp /usr/local/bin/emcp\n"
            'ENTRYPOINT ["/usr/local/bin/emcp"]\nCMD ["serve"]\n'
        )
        docker("build", "--tag", self.image, str(context), timeout_secs=300)

    def start(self) -> None:
        self.build()
        self.victim = docker(
            *("run", "--detach", f"--name={self.instance}-victim", "--network=none", "--label=emcp.instance=somebody"),
            *("--label=emcp.server=0198a000-0000-7000-8000-000000000000", "--entrypoint=sleep"),
            *(settings.base_image(), "600"),
        )
        self.compose("up", "-d", "--no-deps", "emcp-broker")
        until("the broker to be there", (self.data_dir / "broker" / "socket").exists, UP_DEADLINE_SECS)

    def attack(self) -> Json:
        """What came of everything that the program tried."""
        hosts = list(IPv4Network(self.network.subnet).hosts())
        facts = {
            "instance": self.instance,
            "address": str(hosts[99]),
            "gateway": str(hosts[0]),
            "victim_folder": str(self.victim_folder),
            "forbidden_fields": FORBIDDEN_FIELDS,
            "foreign": [self.victim, self.broker()],
            "names": [f"{self.instance}-victim", self.victim[:12], f"{self.instance}-broker", "../containers"],
        }
        (self.data_dir / "attack.json").write_text(json.dumps(facts))
        program = shutil.copy(Path(__file__).with_name("broker_attack.py"), self.data_dir)
        self.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python3", "emcp", "-I", str(program))
        outcome: Json = json.loads((self.data_dir / "outcome.json").read_text())
        return outcome

    def broker(self) -> str:
        return docker("inspect", "--format", "{{.Id}}", f"{self.instance}-broker")

    def compose(self, *arguments: str) -> str:
        command = [*_compose_command(), "-p", self.instance, "-f", str(settings.REPO_DIR / "compose/compose.yml")]
        done = subprocess.run(
            [*command, *arguments], env=self.environment, capture_output=True, text=True, timeout=UP_DEADLINE_SECS
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        subprocess.run(["docker", "rm", "--force", f"{self.instance}-victim"], capture_output=True)
        try:
            self.compose("down", "--timeout", "5")
        finally:
            remove_containers(containers(self.instance))
            docker("network", "rm", self.network.name, self.network.internal_name)
            subprocess.run(["docker", "image", "rm", "--force", self.image], capture_output=True)
            shutil.rmtree(self.run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    if not settings.docker_host().startswith("unix://"):
        pytest.skip("needs an engine behind a Unix socket")
    attacked = Attacked()
    try:
        attacked.start()
        yield attacked
    finally:
        attacked.stop()


@pytest.fixture(scope="module")
def outcome(attacked: Attacked) -> Json:
    return attacked.attack()


def _refused(answer: Any) -> bool:
    """Whether the broker said no, or hung up at what it does not understand."""
    return answer is None or (isinstance(answer, dict) and "Err" in answer)


def test_emcp_has_no_way_to_the_engine(attacked: Attacked, outcome: Json) -> None:
    assert outcome["sockets"] == []
    assert set(outcome["user"]) == {attacked.data_dir.stat().st_uid}


def test_it_can_do_what_emcp_must(outcome: Json) -> None:
    assert "Ok" in outcome["own"], outcome["own"]
    assert outcome["own_inspected"]["Ok"]["phase"] in ("Running", "Exited")
    assert outcome["own_removed"] == {"Ok": None}


def test_nothing_but_own_code_is_mounted(attacked: Attacked, outcome: Json) -> None:
    for how, answer in outcome["mounts"].items():
        assert _refused(answer), f"{how}: {answer}"
    assert list(attacked.victim_folder.iterdir()) == []


def test_bending_a_path_meanwhile_leads_nowhere(attacked: Attacked, outcome: Json) -> None:
    """Whatever was made while the path to the code changed all the time has a copy of the code and nothing else."""
    copies = attacked.data_dir / "broker" / "code"
    made = containers(attacked.instance)
    assert len(outcome["race"]) == 12
    for container in made:
        found = inspect(container)
        binds = [mount for mount in found["Mounts"] if mount["Type"] == "bind"]
        assert [Path(mount["Source"]).parent for mount in binds] == [copies], binds
        assert [path.name for path in Path(binds[0]["Source"]).iterdir()] == ["server.py"]
        assert not any(mount["RW"] for mount in binds)


def test_every_container_is_hardened_whatever_is_asked_for(attacked: Attacked, outcome: Json) -> None:
    for what, answer in outcome["specs"].items():
        assert _refused(answer), f"{what}: {answer}"
    for container in containers(attacked.instance):
        host = inspect(container)["HostConfig"]
        assert not host["Privileged"]
        assert host["CapAdd"] in (None, [])
        assert host["CapDrop"] == ["ALL"]
        assert host["ReadonlyRootfs"]
        assert host["NetworkMode"] in (attacked.network.name, attacked.network.internal_name)
        # It asked for 1 GiB.
        assert host["Memory"] == 128 * 1024**2


def test_others_containers_are_not_there_for_it(attacked: Attacked, outcome: Json) -> None:
    for container, answers in outcome["foreign"].items():
        for word, answer in answers.items():
            # What is gone counts as stopped and removed, so it tells nothing either.
            expected = {"Ok": None} if word in ("stop", "remove") else NOT_THERE
            assert answer == expected, f"{word} {container}: {answer}"
    for name, answer in outcome["no_id"].items():
        assert _refused(answer), f"{name}: {answer}"
    for container in (attacked.victim, attacked.broker()):
        assert inspect(container)["State"]["Running"]


def test_folders_that_others_mount_stay_where_they_are(outcome: Json) -> None:
    for what, came in outcome["folders"].items():
        assert came != "done", what


def test_a_flood_leaves_it_answering(outcome: Json) -> None:
    assert json.loads(outcome["flood"]) == {"Ok": None}


@pytest.fixture
def platform() -> Iterator[FaultPlatform]:
    made = FaultPlatform()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_emcp_goes_on_when_the_broker_is_back(platform: FaultPlatform) -> None:
    api = platform.api
    api.create("stays", tiny_server("stays"), entry_object="app", start="true")
    api.wait_for("stays", "running")
    before = platform.container_of("stays")
    platform.kill_broker()
    with httpx.Client(trust_env=False, timeout=15) as http:

        def checks() -> Json:
            return http.get(f"{platform.internal_url}/readyz").json()["checks"]

        until("readiness to tell", lambda: checks()["docker"] != "ok", SETTLE_DEADLINE_SECS)
        assert checks()["broker"] == "the broker does not answer"
        # What runs is served all the same.
        assert api.server("stays")["status"] == "running"
        platform.start_broker()
        until("the engine to be reached again", lambda: checks()["docker"] == "ok", SETTLE_DEADLINE_SECS)
        assert checks()["broker"] == "ok"
    assert platform.container_of("stays") == before
    api.create("comes", tiny_server("comes"), entry_object="app", start="true")
    api.wait_for("comes", "running")
    api.delete("comes")
    until("its container to go", lambda: containers(platform.instance) == [before], SETTLE_DEADLINE_SECS)
    copies = platform.data_dir / "broker" / "code"
    until("its copy to go", lambda: len(list(copies.iterdir())) == 1, SETTLE_DEADLINE_SECS)
