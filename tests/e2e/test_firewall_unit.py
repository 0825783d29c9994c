"""The servers' firewall kept by systemd: a machine with systemd as its first process, which restarts.

What the rules close is tried in test_isolation.py, how they are watched in test_firewall.py; here it is that systemd
runs both, and again after a restart. Docker Engine does not run on that machine: the rules are to be there before it.
"""

import subprocess
from collections.abc import Iterator

import pytest

from support.docker import DockerError, docker, inspect, remove_containers
from support.firewall import SCRIPT
from support.owner import new_name
from support.settings import REPO_DIR, docker_host
from support.waits import until

UNIT = "emcp-firewall.service"
SUBNET, INTERNAL_SUBNET = "198.18.255.0/24", "198.19.255.0/24"
IMAGE = """
FROM python:3.11-slim
RUN apt-get update -qq \\
    && apt-get install -y -qq --no-install-recommends systemd systemd-sysv iptables procps >/dev/null \\
    && rm -rf /var/lib/apt/lists/*
# By which make clean finds it.
LABEL emcp.inputs=test-systemd
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/lib/systemd/systemd"]
"""
# What systemd needs to run as the first process, and the rules to be changed. Its cgroups are below the container's.
MAY = [
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--security-opt", "seccomp=unconfined"),
    *("--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock"),
]
BUILD_SECS = 300
# The watch looks every 5 s.
DEADLINE_SECS = 60


class Machine:
    """A container that behaves like a machine with Debian and without Docker."""

    def __init__(self, image: str) -> None:
        self.name = new_name()
        self.checkout = "/srv/emcp"
        # The label is for those who clean up after a run that was killed.
        label = f"emcp.instance={self.name}"
        self.id = docker("run", "--detach", "--name", self.name, "--label", label, "--network", "none", *MAY, image)

    def run(self, *command: str) -> str:
        return docker("exec", self.id, *command)

    def firewall(self, action: str) -> str:
        """`scripts/firewall.sh`, as `make up` calls it."""
        settings = (f"EMCP_SUBNET={SUBNET}", f"EMCP_INTERNAL_SUBNET={INTERNAL_SUBNET}")
        return self.run("env", *settings, f"{self.checkout}/scripts/{SCRIPT.name}", action)

    def rules(self) -> list[str]:
        return sorted(self.run("iptables", "-w", "10", "-S").splitlines())

    def wait_up(self) -> None:
        until("systemd to have started everything", self._is_up, DEADLINE_SECS)

    def _is_up(self) -> bool:
        if not inspect(self.id)["State"]["Running"]:
            raise AssertionError(f"systemd ended: {docker('logs', self.id)}")
        try:
            # A unit of Debian's that fails in a container is no matter of ours.
            self.run("sh", "-c", "systemctl is-system-running | grep -E 'running|degraded'")
        except DockerError:
            return False
        return True

    def is_active(self) -> bool:
        return self.run("systemctl", "show", "--property=ActiveState", "--value", UNIT) == "active"


@pytest.fixture(scope="module")
def image() -> str:
    command = ["docker", "--host", docker_host(), "build", "--quiet", "-"]
    built = subprocess.run(command, input=IMAGE, capture_output=True, text=True, timeout=BUILD_SECS, check=False)
    if built.returncode != 0 and not has_debian():
        pytest.skip("containers reach no package mirror of Debian here")
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


def has_debian() -> bool:
    """Whether a container gets packages; without them nothing can be said of the unit."""
    try:
        docker("run", "--rm", "python:3.11-slim", "apt-get", "update", "-o", "APT::Update::Error-Mode=any", timeout_secs=BUILD_SECS)
    except DockerError:
        return False
    return True


@pytest.fixture
def machine(image: str) -> Iterator[Machine]:
    machine = Machine(image)
    try:
        machine.wait_up()
        machine.run("mkdir", "-p", f"{machine.checkout}/compose")
        docker("cp", str(REPO_DIR / "scripts"), f"{machine.id}:{machine.checkout}/scripts")
        yield machine
    finally:
        remove_containers([machine.id])


def test_systemd_keeps_the_rules_and_has_them_before_docker_after_a_restart(machine: Machine) -> None:
    untouched = machine.rules()
    shown = machine.firewall("install")
    assert f"# {UNIT}: enabled, active" in shown
    wanted = machine.rules()
    assert any(SUBNET in rule for rule in wanted)
    assert "docker.service" in machine.run("systemctl", "show", "--property=Before", "--value", UNIT).split()

    # Somebody flushes the table.
    machine.run("iptables", "-F")
    until("the rules to be back", lambda: machine.rules() == wanted, DEADLINE_SECS)

    # A restart: another network namespace, without a rule, and no make up. The checkout has moved meanwhile.
    machine.run("mv", machine.checkout, "/srv/moved")
    machine.checkout = "/srv/moved"
    docker("restart", machine.id)
    machine.wait_up()
    until("the unit to run", machine.is_active, DEADLINE_SECS)
    assert machine.rules() == wanted

    machine.firewall("remove")
    assert machine.rules() == untouched
    assert machine.run("systemctl", "show", "--property=LoadState", "--value", UNIT) == "not-found"
    assert not machine.run("find", "/etc/systemd/system", "/var/lib/emcp-setup", "-name", "*firewall*")
