"""`make clean PURGE=1` on a machine of its own: a container with Debian, and packages made on the spot."""

import os
import pty
import subprocess
from collections.abc import Iterator

import pytest
from support.docker import docker, remove_containers
from support.owner import new_name
from support.settings import REPO_DIR, docker_host
from support.waits import until

IMAGE = "python:3.11-slim"
DEADLINE_SECS = 60
# name: what it needs
PACKAGES = {
    "admins": "", "shared": "", "compiler": "libcompiler", "libcompiler": "", "runc": "", "theirs": "shared",
}  # fmt: skip
MAKE_PACKAGES = "".join(
    f"""
mkdir -p /tmp/{name}/DEBIAN
cat >/tmp/{name}/DEBIAN/control <<END
Package: {name}
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.com>
{f"Depends: {needs}" if needs else "Section: misc"}
Description: {name}
END
dpkg-deb --build /tmp/{name} /tmp/{name}.deb
"""
    for name, needs in PACKAGES.items()
)
# As make up does it, in two runs: the second finds what the first has installed.
INSTALL = """
cd /srv/emcp
for run in first second; do
  cat >scripts/try.sh <<END
source "\\$(dirname "\\$0")/lib.sh"
source "\\$ROOT/scripts/host.sh"
apt_install {packages}
END
  bash scripts/try.sh
done
rm scripts/try.sh
"""


class Machine:
    """Debian with a checkout and data, without a container engine."""

    def __init__(self) -> None:
        name = new_name()
        label = f"emcp.instance={name}"
        self.id = docker("run", "--detach", "--init", "--name", name, "--label", label, "--network", "none", IMAGE, "sleep", "600")
        self.run("mkdir -p /srv/emcp/compose /srv/emcp/ui/vendor /opt/mcp-platform/data")
        docker("cp", str(REPO_DIR / "scripts"), f"{self.id}:/srv/emcp/scripts")
        self.run("touch /opt/mcp-platform/data/emcp.redb")
        self.run(MAKE_PACKAGES)

    def run(self, script: str) -> str:
        return docker("exec", self.id, "bash", "-ec", script)

    def install(self, *packages: str) -> None:
        self.run(INSTALL.format(packages=" ".join(f"/tmp/{name}.deb" for name in packages)))

    def installed(self) -> set[str]:
        """Which of the packages are there."""
        listing = self.run("dpkg-query -W -f '${db:Status-Status} ${Package}\\n'").splitlines()
        return {name for status, name in (line.split() for line in listing) if status == "installed"} & set(PACKAGES)

    def has_data(self) -> bool:
        return self.run("ls /opt/mcp-platform/data 2>/dev/null || true") == "emcp.redb"

    def clean(self, settings: str) -> tuple[int, str]:
        """`make clean`, without a terminal; how it ended and what it showed."""
        command = ["docker", "--host", docker_host(), "exec", self.id, "env", *settings.split(), "/srv/emcp/scripts/clean.sh"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECS
        )
        return done.returncode, done.stdout

    def clean_on_a_terminal(self, answer: str) -> tuple[int, str]:
        """The same, where a person sits before it."""
        ours, theirs = pty.openpty()
        command = ["docker", "--host", docker_host(), "exec", "-it", self.id, "env", "PURGE=1", "/srv/emcp/scripts/clean.sh"]
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""

        def asked() -> bool:
            nonlocal shown
            shown += os.read(ours, 4096)
            return b"Remove all of this?" in shown

        try:
            until("the question", asked, DEADLINE_SECS)
            os.write(ours, f"{answer}\n".encode())
            try:
                while more := os.read(ours, 4096):
                    shown += more
            except OSError:
                pass  # The other end is closed.
            return process.wait(DEADLINE_SECS), shown.decode()
        finally:
            process.kill()
            process.wait()
            os.close(ours)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    made = Machine()
    try:
        yield made
    finally:
        remove_containers([made.id])


def test_it_shows_asks_and_removes_only_what_it_installed_and_nothing_else_needs(machine: Machine) -> None:
    machine.run("apt-get install -y /tmp/admins.deb")
    machine.install("admins", "shared", "compiler", "libcompiler", "runc")
    machine.run("apt-get install -y /tmp/theirs.deb")
    everything = machine.installed()
    assert everything == set(PACKAGES)

    # Nobody can be asked.
    status, shown = machine.clean("PURGE=1")
    assert status != 0 and "YES=1" in shown and "/opt/mcp-platform/data" in shown and "libcompiler" in shown, shown
    # Somebody was, and did not mean it.
    status, shown = machine.clean_on_a_terminal("no")
    assert status != 0 and "nothing was removed" in shown, shown
    assert machine.has_data() and machine.installed() == everything

    # Another engine came to this machine meanwhile.
    machine.run("cp /bin/sleep /tmp/containerd && { /tmp/containerd 600 >/dev/null 2>&1 & echo $! >/tmp/number; }")
    status, shown = machine.clean_on_a_terminal("yes")
    assert status == 0 and "(containerd) is here" in shown and "needed by other packages: shared" in shown, shown
    assert machine.installed() == {"admins", "shared", "theirs", "runc"}
    assert not machine.has_data()

    # What stayed is still known for make's, and goes when nobody needs it.
    machine.run("kill $(cat /tmp/number); dpkg --purge theirs")
    status, shown = machine.clean("PURGE=1 YES=1")
    assert status == 0, shown
    assert machine.installed() == {"admins"}
    assert machine.run("ls /var/lib/emcp-setup 2>/dev/null || true") == ""


def test_another_installation_keeps_what_make_installed(machine: Machine) -> None:
    machine.install("compiler", "libcompiler")
    # What an installation of this name has left: the copy of scripts that its firewall is kept by.
    machine.run("mkdir -p /var/lib/emcp-setup/firewall/second/scripts")
    status, shown = machine.clean("PURGE=1 YES=1")
    assert status == 0 and "other installations are here: second" in shown, shown
    assert {"compiler", "libcompiler"} <= machine.installed()
    assert machine.run("ls /var/lib/emcp-setup/firewall") == "second"
    machine.run("rm -r /var/lib/emcp-setup/firewall")
    status, shown = machine.clean("PURGE=1 YES=1")
    assert status == 0 and not machine.installed() & {"compiler", "libcompiler"}, shown


def test_without_purge_nothing_is_asked_and_all_that_is_kept_is_said(machine: Machine) -> None:
    machine.install("shared")
    machine.run("mkdir -p /opt/mcp-platform/data && touch /opt/mcp-platform/data/emcp.redb")
    status, shown = machine.clean("EMCP_INSTANCE=emcp")
    assert status == 0 and "Kept: /opt/mcp-platform/data" in shown, shown
    assert machine.has_data() and "shared" in machine.installed()
