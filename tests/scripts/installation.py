"""An installation as an operator has it: a checkout, settings, and `make`."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx
from support import settings
from support.api import Api
from support.docker import DockerError, containers, docker, remove_containers
from support.firewall import can_install, firewall
from support.network import create_network, free_ports
from support.owner import is_ours, new_name, owner_lives

# An image of 300 MB is built on a busy machine, and a platform gets ready.
MAKE_DEADLINE_SECS = 240
# What make needs of a checkout; the binary is there already.
CHECKOUT = ("Makefile", "Cargo.toml", "scripts", "compose", "base-image", "traefik", "examples")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".env", "emcp", "ca-certificates.crt")


@dataclass(frozen=True)
class Ran:
    """What a person saw, and how it ended."""

    shown: str
    status: int


class Installation:
    """A copy of this checkout with names, networks, ports and directories that no other has."""

    def __init__(self, **more: str) -> None:
        self.instance = new_name()
        # In compose/.env: now, and when make up went well last.
        self._written: tuple[str, ...] = ()
        self.good_settings: tuple[str, ...] = ()
        self.run_dir = Path(tempfile.gettempdir()) / self.instance
        self.checkout = self.run_dir / "checkout"
        self.data_dir = self.run_dir / "data"
        self.checkout.mkdir(parents=True)
        for name in CHECKOUT:
            source = settings.REPO_DIR / name
            if source.is_dir():
                shutil.copytree(source, self.checkout / name, ignore=LEFT_OUT)
            else:
                shutil.copy(source, self.checkout / name)
        (self.checkout / "ui/vendor").mkdir(parents=True)
        self.network = create_network(self.instance, {"emcp.instance": self.instance})
        https, http = free_ports(2)
        self.public_url = f"https://localhost:{https}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("EMCP_", "MAKE"))},
            "DOCKER_HOST": settings.docker_host(),
            "EMCP_INSTANCE": self.instance,
            "EMCP_DATA_DIR": str(self.data_dir),
            "EMCP_NETWORK": self.network.name,
            "EMCP_SUBNET": self.network.subnet,
            "EMCP_INTERNAL_SUBNET": self.network.internal_subnet,
            "EMCP_HTTPS_PORT": str(https),
            "EMCP_HTTP_PORT": str(http),
            "EMCP_FIREWALL": "off",
            # Its rules are the tests'.
            "EMCP_FIREWALL_PREFIX": "EMCP-TEST",
            "EMCP_BINARY": str(settings.emcp_bin()),
            "EMCP_INSTALL": "no",
            "EMCP_CACHE_DIR": str(self.run_dir / "cache"),
            "EMCP_STATE_DIR": str(self.run_dir / "state"),
            "EMCP_LOCK_FILE": str(self.run_dir / "lock"),
            **more,
        }
        # Present already, under the name that this installation has for it.
        docker("tag", settings.base_image(), f"corp/mcp-base:{self.instance}")

    def make(self, target: str, *, stdin: str | None = None, **variables: str) -> Ran:
        """`make TARGET`, with more settings in its environment."""
        done = subprocess.run(
            ["make", "--directory", str(self.checkout), "--no-print-directory", target],
            env={**self.environment, **variables},
            input=stdin or "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAKE_DEADLINE_SECS,
            check=False,
        )
        return Ran(done.stdout, done.returncode)

    def up(self, **variables: str) -> str:
        """`make up`, which must succeed; what it showed."""
        ran = self.make("up", **variables)
        assert ran.status == 0, f"{ran.shown}\n{self._logs()}"
        self.good_settings = self._written
        return ran.shown

    def write_settings(self, *lines: str) -> None:
        """`compose/.env`, as an operator writes it."""
        self._written = lines
        (self.checkout / "compose" / ".env").write_text("".join(f"{line}\n" for line in lines))

    def template(self) -> tuple[Path, str]:
        """Where an operator's template of Traefik's configuration lies, and what the shipped one holds."""
        return self.data_dir / "template.yml", (self.checkout / "traefik/traefik.yml").read_text()

    def api(self, ca_file: Path | None = None) -> Api:
        token = (self.data_dir / "admin-token").read_text().strip()
        return Api(self.public_url, ca_file or self.data_dir / "ca.crt", token)

    def answers(self, ca_file: Path | None = None) -> bool:
        api = self.api(ca_file)
        try:
            return api.request("GET", "/api/overview").is_success
        except httpx.TransportError:
            return False
        finally:
            api.close()

    def parts(self) -> dict[str, str]:
        """The platform's containers: each by its name's ending, with what tells it from one that took its place."""
        found = {}
        for suffix in ("", "-broker", "-sockets", "-traefik"):
            try:
                found[suffix] = docker(
                    "container", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", self.instance + suffix
                )
            except DockerError:
                continue
        return found

    def image(self) -> str:
        """What EMCP runs from now."""
        return docker("container", "inspect", "--format", "{{.Image}}", self.instance)

    def remove(self) -> None:
        remove_containers(docker("ps", "--all", "--quiet", "--filter", f"label=emcp.platform={self.instance}").split())
        remove_containers(containers(self.instance))
        if can_install():
            firewall("remove", self.instance)
        for network in (self.network.name, self.network.internal_name):
            subprocess.run(["docker", "--host", settings.docker_host(), "network", "rm", network], capture_output=True)
        _remove_images(self.instance)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _logs(self) -> str:
        said = []
        for suffix in ("-sockets", "-broker", "", "-traefik"):
            try:
                said.append(f"--- {self.instance}{suffix}\n{docker('logs', '--tail', '20', self.instance + suffix)}")
            except DockerError as error:
                said.append(str(error))
        return "\n".join(said)


def images() -> list[str]:
    """The names of all images that tests' installations have."""
    listing = docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    return [name for name in listing if is_ours(name.partition(":")[2])]


def remove_dead_images() -> list[str]:
    """Remove images of runs that were killed."""
    dead = [name for name in images() if not owner_lives(_owner(name))]
    if dead:
        docker("image", "rm", *dead)
    return dead


def _remove_images(instance: str) -> None:
    own = [name for name in images() if _owner(name) == instance]
    if own:
        docker("image", "rm", *own)


def _owner(image: str) -> str:
    """The instance in an image's name: a tag of it, or the beginning of one."""
    return re.sub(r"-(local|good|1)$", "", image.partition(":")[2])
