"""A Docker daemon of its own for tests that end it, and what removes everything of one whose test run was killed."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from support import settings
from support.leftovers import record_process
from support.network import free_subnet
from support.owner import RUN_PREFIX, new_name, owner_lives
from support.waits import until

DAEMON_DEADLINE_SECS = 60.0
IMAGE_TIMEOUT_SECS = 300
BRIDGE_PREFIX_LENGTH = 30
HOME_SUFFIX = "-dockerd"
INTERFACES_FILE = "interfaces"


def new_home() -> Path:
    """A directory whose name says which run it belongs to."""
    home = Path(tempfile.gettempdir()) / f"{new_name()}{HOME_SUFFIX}"
    home.mkdir()
    return home


class Daemon:
    """A Docker daemon of its own: nothing it does is seen by the machine's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host = f"unix://{home}/docker.sock"
        self.log = home / "dockerd.log"
        # Below the 15 characters a name of an interface may have: one for containers without a network, two
        # for the platform's networks. Written down before they are made, for whoever cleans up after this process.
        self.bridge = f"emcp{os.getpid()}"
        self.network_bridges = (f"{self.bridge}n", f"{self.bridge}i")
        (home / INTERFACES_FILE).write_text("\n".join([self.bridge, *self.network_bridges]))
        self._process: subprocess.Popen[bytes] | None = None

    def make_bridge(self) -> None:
        """A default bridge of its own: with `--bridge none` a daemon deletes docker0, which is the machine's."""
        with free_subnet(BRIDGE_PREFIX_LENGTH) as subnet:
            for arguments in (
                ["link", "add", "name", self.bridge, "type", "bridge"],
                ["addr", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", self.bridge],
                ["link", "set", self.bridge, "up"],
            ):
                subprocess.run(["ip", *arguments], check=True, capture_output=True)

    def remove_bridges(self) -> None:
        remove_interfaces(self.home)

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


def remove_dead_daemons() -> list[str]:
    """Remove the daemons of killed runs with all that came of them; returns the names of their directories."""
    homes = sorted(Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*{HOME_SUFFIX}"))
    dead = [home for home in homes if not owner_lives(home.name)]
    for home in dead:
        remove_remains(home)
    return [home.name for home in dead]


def remove_remains(home: Path) -> None:
    """Processes first, then what they held: interfaces, mounts, files."""
    until(f"the processes of {home.name} to end", lambda: not _kill_all_of(home), DAEMON_DEADLINE_SECS)
    remove_interfaces(home)
    unmount_below(home)
    shutil.rmtree(home, ignore_errors=True)


def processes_of(home: Path) -> set[int]:
    """The daemon, its containerd and shims, which name the directory, and all that descends from these."""
    needle = os.fsencode(home)
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # It has ended.
        if stat[0] == "Z":
            continue
        parents[int(entry.name)] = int(stat[1])
        if needle in command:
            found.add(int(entry.name))
    found.discard(os.getpid())
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _kill_all_of(home: Path) -> set[int]:
    """Kill what there is; a shim that goes before its container would leave this to nobody, so all at once."""
    pids = processes_of(home)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return pids


def remove_interfaces(home: Path) -> None:
    for name in (home / INTERFACES_FILE).read_text().split():
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def unmount_below(home: Path) -> None:
    """A daemon that was killed leaves mounts, deepest last."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([each for each in mounts if Path(each).is_relative_to(home)]):
        subprocess.run(["umount", "--lazy", mount], check=False)
