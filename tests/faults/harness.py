"""What the fault tests add to the end-to-end platform: deaths, checks, and small servers to be hit by them."""

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from support import bundles, settings
from support.api import TRUSTS_NOBODY
from support.docker import DockerError, containers, docker
from support.owner import is_ours, owner_lives
from support.running import STOP_DEADLINE_SECS, Platform
from support.waits import until

Json = dict[str, Any]

CHECK_DEADLINE_SECS = 60
SETTLE_DEADLINE_SECS = 120.0
REQUEST_TIMEOUT_SECS = 20.0
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class FaultPlatform(Platform):
    """A platform whose EMCP may be ended in every way, and whose data directory can be looked into."""

    def __init__(self, *, holds_sockets: bool = False, **emcp_settings: str) -> None:
        # Servers that must be replaced often get a short time to end.
        super().__init__(holds_sockets=holds_sockets, **{"EMCP_STOP_GRACE_SECS": "2", **emcp_settings})
        self.last_problems: list[str] = []

    def with_settings(self, **emcp_settings: str) -> None:
        """Change settings before the start."""
        self._emcp_settings.update(emcp_settings)

    def spawn_emcp(self) -> "subprocess.Popen[bytes]":
        """Start `emcp serve` and don't wait for anything."""
        self.start_broker()
        self._emcp = self._spawn([str(settings.emcp_bin()), "serve"], self.emcp_log)
        return self._emcp

    def is_alive(self) -> bool:
        assert self._emcp is not None
        return self._emcp.poll() is None

    def direct(self, timeout_secs: float = REQUEST_TIMEOUT_SECS) -> httpx.Client:
        """The API as the administrator, straight at EMCP: whether Traefik is there makes no difference."""
        return httpx.Client(
            base_url=self.upstream_url,
            headers={"Authorization": f"Bearer {self.admin_token}"},
            verify=TRUSTS_NOBODY,
            timeout=timeout_secs,
            trust_env=False,
        )

    def terminate_emcp(self) -> int:
        """Ask EMCP to end; its exit code."""
        assert self._emcp is not None
        self._emcp.send_signal(signal.SIGTERM)
        return self._emcp.wait(STOP_DEADLINE_SECS)

    def check(self) -> subprocess.CompletedProcess[str]:
        """`emcp check` on the data directory; EMCP must not be running."""
        return self.run_emcp("check")

    def run_emcp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `emcp` with this platform's settings, to its end."""
        return subprocess.run(
            [str(settings.emcp_bin()), *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CHECK_DEADLINE_SECS,
        )

    def assert_sound(self) -> None:
        """Stop EMCP, verify its data directory, start it again."""
        code = self.terminate_emcp()
        assert code == 0, f"emcp ended with {code} when asked to end"
        done = self.check()
        # Started again before the verdict, so that the tests after this one have what they need.
        self.start_emcp()
        self.wait_ready()
        assert done.returncode == 0, f"emcp check ended with {done.returncode}:\n{done.stdout}"

    def gate_query(self, server: str) -> dict[str, str]:
        """What Traefik asks the gate by the route of the server of this id."""
        token = (self.data_dir / "provider-token").read_text().strip()
        answer = httpx.get(
            f"{self.internal_url}/traefik/config", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        middlewares: Json = answer.raise_for_status().json()["http"]["middlewares"]
        return dict(parse_qsl(urlsplit(middlewares[f"gate-{server}"]["forwardAuth"]["address"]).query))

    def server_folders(self) -> set[str]:
        """Ids of the servers that have a folder in the data directory."""
        return {path.name for path in self.data_dir.iterdir() if UUID.fullmatch(path.name)}

    def own_containers(self) -> list[Json]:
        """All containers of this instance, ended ones too, as `docker inspect` shows them."""
        # One that goes between the listing and the look is like one that went before both.
        return until("a look at all containers", self._inspect_all, CHECK_DEADLINE_SECS)

    def wait_settled(self, deadline_secs: float = SETTLE_DEADLINE_SECS) -> list[Json]:
        """Wait until every server is as wanted and nothing of deleted ones is left; the servers then."""
        with self.direct() as http:
            return until("everything to settle", lambda: self._settled(http), deadline_secs)

    def unsettled(self, servers: list[Json]) -> list[str]:
        """What is not as it should be, in words; empty when all is."""
        problems = [
            f"{server['name']} is {server['status']} ({server['reason']}), wanted {server['desired']}"
            for server in servers
            if server["status"] != server["desired"]
        ]
        wanted = {server["id"] for server in servers if server["desired"] == "running"}
        known = {server["id"] for server in servers}
        inspected = self.own_containers()
        running = Counter(server_of(each) for each in inspected if each["State"]["Running"])
        problems += [f"{count} containers of {server} run" for server, count in running.items() if count > 1]
        problems += [f"a container of {server} runs unwanted" for server in running.keys() - wanted]
        problems += [f"no container of {server} runs" for server in wanted - running.keys()]
        # The ended container of a stopped server is kept for its output; never more than that one.
        every = Counter(server_of(each) for each in inspected)
        problems += [f"{count} containers of {server}" for server, count in every.items() if count > 1]
        problems += [f"a container of {server}, which does not exist" for server in every.keys() - known]
        folders = self.server_folders()
        problems += [f"a folder of {server}, which does not exist" for server in folders - known]
        return problems

    def code_problems(self, http: httpx.Client, servers: list[Json]) -> list[str]:
        """What code is missing on disk, and what lies there that no version has."""
        needed: set[str] = set()
        for server in servers:
            answer = http.get(f"/api/servers/{server['id']}/versions")
            # One that has gone meanwhile needs none.
            if answer.status_code != 404:
                needed |= bundles.of_versions(answer.raise_for_status().json()["versions"])
        there = bundles.on_disk(self.data_dir)
        problems = [f"no code {digits}" for digits in needed - there]
        return problems + [f"code {digits} of no version" for digits in there - needed]

    def _inspect_all(self) -> list[Json] | None:
        ids = containers(self.instance)
        try:
            return Complete(json.loads(docker("inspect", *ids)) if ids else [])
        except DockerError as error:
            if "No such object" in str(error):
                return None
            raise

    def log_tails(self) -> list[tuple[str, str]]:
        tails = super().log_tails()
        if self.last_problems:
            tails.append((f"{self.instance} not settled", "\n".join(self.last_problems)))
        return tails

    def _settled(self, http: httpx.Client) -> list[Json] | None:
        servers: list[Json] = http.get("/api/servers").raise_for_status().json()["servers"]
        self.last_problems = [*self.unsettled(servers), *self.code_problems(http, servers)]
        # An empty list is as settled as any other, and must not read as "not yet".
        return Complete(servers) if not self.last_problems else None


class Complete(list[Json]):
    """A list that counts as true even when it is empty."""

    def __bool__(self) -> bool:
        return True


class Sampler:
    """Calls one address all the time from a thread of its own and keeps how long each call took."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        self._client, self._path = client, path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.took_secs: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                response = self._client.get(self._path)
                if response.is_success:
                    self.took_secs.append(response.elapsed.total_seconds())
                else:
                    self.failures.append(f"{response.status_code} {response.text[:200]}")
            except httpx.TransportError as error:
                self.failures.append(repr(error))


def server_of(container: Json) -> str:
    """The id of the server that a container was made for."""
    label: str = container["Config"]["Labels"]["emcp.server"]
    return label


def unmount_leftovers() -> None:
    """Unmount what killed runs of this suite left mounted, so that their directories can be removed."""
    for line in Path("/proc/mounts").read_text().splitlines():
        target = Path(line.split()[1])
        name = next((part for part in target.parts if is_ours(part)), None)
        if name is not None and not owner_lives(name):
            subprocess.run(["umount", "--lazy", str(target)], check=False)
