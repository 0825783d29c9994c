"""The servers' firewall on a machine with a network of its own: installed, watched, removed.

What it closes is tried from inside servers, in test_isolation.py; here it is whether the rules are there, and stay.
That systemd runs it is tried in test_firewall_unit.py.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.firewall import SCRIPT, can_install
from support.leftovers import record_process
from support.owner import new_name
from support.waits import until

pytestmark = pytest.mark.skipif(not can_install(), reason="only root may change the firewall")

SUBNET, INTERNAL_SUBNET = "198.18.255.0/24", "198.19.255.0/24"
WATCHING = "the rules are there"
# The watch looks every 5 s, and installs at least twice.
DEADLINE_SECS = 60


class LoneMachine:
    """A network namespace: iptables as on a machine that has just started, before Docker."""

    def __init__(self) -> None:
        self.instance = new_name()
        self.run_dir = Path(tempfile.gettempdir()) / self.instance
        self.run_dir.mkdir()
        self.log = self.run_dir / "watch.log"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EMCP_")},
            "EMCP_INSTANCE": self.instance,
            "EMCP_SUBNET": SUBNET,
            "EMCP_INTERNAL_SUBNET": INTERNAL_SUBNET,
            "EMCP_FIREWALL_PREFIX": "EMCP-TEST",
            "EMCP_CACHE_DIR": str(self.run_dir / "cache"),
        }
        # It ends with its input, and the namespace with it.
        command = ["unshare", "--net", "cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, env=self.environment)
        record_process(self.run_dir, self._holder.pid)
        self._namespace = f"/proc/{self._holder.pid}/ns/net"
        own = os.readlink("/proc/self/ns/net")
        until("the namespace to be there", lambda: os.readlink(self._namespace) != own, DEADLINE_SECS)

    def firewall(self, action: str, **settings: str) -> str:
        return self._run([str(SCRIPT), action], settings)

    def iptables(self, *arguments: str) -> str:
        return self._run(["iptables", "-w", "10", *arguments], {})

    def rules(self) -> list[str]:
        """All of them. Which of two jumps was put in last does not matter."""
        return sorted(self.iptables("-S").splitlines())

    def jumps(self) -> set[str]:
        """The chains that lead into the firewall's."""
        return {rule.split()[1] for rule in self.rules() if f"emcp.instance={self.instance}" in rule}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """`firewall.sh watch`, as systemd runs it. What it installed stays when it ends."""
        begun = self.log.read_text().count(WATCHING) if self.log.exists() else 0
        with self.log.open("ab") as log:
            watch = subprocess.Popen(self._inside([str(SCRIPT), "watch"]), env=self.environment, stdout=log, stderr=log)
        record_process(self.run_dir, watch.pid)
        try:
            until("the watch to begin", lambda: self.log.read_text().count(WATCHING) > begun, DEADLINE_SECS)
            yield
            assert watch.poll() is None, f"the watch has ended: {self.log.read_text()}"
        finally:
            watch.kill()
            watch.wait()

    def wait_for(self, wanted: list[str]) -> None:
        try:
            until("the rules to be back", lambda: self.rules() == wanted, DEADLINE_SECS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None

    def stop(self) -> None:
        self._holder.kill()
        self._holder.wait()
        shutil.rmtree(self.run_dir)

    def _inside(self, command: list[str]) -> list[str]:
        return ["nsenter", f"--net={self._namespace}", *command]

    def _run(self, command: list[str], settings: dict[str, str]) -> str:
        environment = {**self.environment, **settings}
        done = subprocess.run(self._inside(command), env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def machine() -> Iterator[LoneMachine]:
    machine = LoneMachine()
    try:
        yield machine
    finally:
        machine.stop()


def test_the_rules_can_be_installed_twice_and_leave_nothing_behind(machine: LoneMachine) -> None:
    untouched = machine.rules()
    shown = machine.firewall("install")
    once = machine.rules()
    assert "169.254.0.0/16" in shown and SUBNET in shown and once != untouched
    assert machine.firewall("install") == shown
    assert machine.rules() == once
    # Another subnet takes the place of the first.
    machine.firewall("install", EMCP_SUBNET="198.18.254.0/24", EMCP_INTERNAL_SUBNET="198.19.254.0/24")
    assert not any("255.0" in rule for rule in machine.rules())
    machine.firewall("remove")
    assert machine.rules() == untouched


def test_before_docker_the_rules_hang_where_any_engine_passes(machine: LoneMachine) -> None:
    with machine.watched():
        assert machine.jumps() == {"INPUT", "DOCKER-USER", "FORWARD"}
        # What Docker does when it starts, and an engine that filters without iptables does not.
        machine.iptables("-I", "FORWARD", "-j", "DOCKER-USER")
        machine.iptables("-A", "DOCKER-USER", "-j", "RETURN")
        until("one to be enough", lambda: machine.jumps() == {"INPUT", "DOCKER-USER"}, DEADLINE_SECS)
    assert machine.iptables("-S", "DOCKER-USER").splitlines()[-1] == "-A DOCKER-USER -j RETURN"
    machine.firewall("remove")
    left = [rule for rule in machine.rules() if not rule.startswith("-P")]
    assert left == ["-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER", "-N DOCKER-USER"]


INPUT, FORWARD = "EMCP-TEST-IN-198.18.255.0", "EMCP-TEST-FWD-198.18.255.0"
CHANGES = {
    "everything flushed": [["-F"], ["-X"]],
    "a chain emptied": [["-F", FORWARD]],
    "a rule removed": [["-D", FORWARD, "-d", "169.254.0.0/16", "-j", "REJECT", "--reject-with", "icmp-admin-prohibited"]],
    "a hole put in": [["-I", INPUT, "-p", "tcp", "--dport", "22", "-j", "RETURN"]],
    "Docker's chain emptied": [["-F", "DOCKER-USER"]],
    "no longer asked": [["-F", "INPUT"]],
}


def test_what_others_change_is_mended_while_it_is_watched(machine: LoneMachine) -> None:
    machine.firewall("install")
    wanted = machine.rules()
    with machine.watched():
        for change in CHANGES.values():
            for arguments in change:
                machine.iptables(*arguments)
            machine.wait_for(wanted)
    # Unwatched it stays so. A start finds no rules, as after a reboot.
    machine.iptables("-F")
    machine.iptables("-X")
    with machine.watched():
        assert machine.rules() == wanted
