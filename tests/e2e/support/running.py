"""A whole platform under test: `emcp serve` and Traefik as host processes, servers as real containers."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import httpx

from . import settings
from .api import TRUSTS_NOBODY, Api
from .docker import DockerError, containers, docker, remove_containers
from .leftovers import record_process
from .network import create_network, free_ports
from .owner import new_name
from .waits import until

START_DEADLINE_SECS = 60.0
STOP_DEADLINE_SECS = 15.0
LOG_TAIL_LINES = 100


class Platform:
    """One EMCP instance with its own network, data directory, ports and Traefik."""

    # Those alive now, so that a failed test can show their logs.
    live: ClassVar[list["Platform"]] = []
    # The names of the two networks' bridges, where they must be known beforehand.
    bridges: ClassVar[tuple[str, str] | None] = None

    # What EMCP and Traefik listen on. Servers could not even try to reach them at a loopback address.
    listen_on = "127.0.0.1"

    def __init__(self, *, holds_sockets: bool = False, **emcp_settings: str) -> None:
        self.instance = new_name()
        self.run_dir = Path(tempfile.gettempdir()) / self.instance
        self.data_dir = self.run_dir / "data"
        self.emcp_log = self.run_dir / "emcp.log"
        self.traefik_log = self.run_dir / "traefik.log"
        self.broker_log = self.run_dir / "broker.log"
        self._emcp_settings = emcp_settings
        self._emcp: subprocess.Popen[bytes] | None = None
        self._traefik: subprocess.Popen[bytes] | None = None
        self._holds_sockets = holds_sockets
        self._holder: subprocess.Popen[bytes] | None = None
        self._broker: subprocess.Popen[bytes] | None = None
        self._brokers_environment: dict[str, str] = {}
        self._apis: list[Api] = []

    @property
    def broker_socket(self) -> Path:
        """Where EMCP asks for what only the broker may have of the engine."""
        return self.run_dir / "broker"

    @property
    def emcp_pid(self) -> int:
        assert self._emcp is not None
        return self._emcp.pid

    @property
    def traefik_pid(self) -> int:
        assert self._traefik is not None
        return self._traefik.pid

    def start(self) -> None:
        if self not in Platform.live:
            self.prepare()
        if self._holds_sockets:
            self.start_holder()
        self.start_emcp()
        self.ca_file = self.data_dir / "ca.crt"
        self.admin_token = (self.data_dir / "admin-token").read_text().strip()
        self.api = self.api_as(self.admin_token)
        self._start_traefik()
        self.wait_ready()

    def prepare(self) -> None:
        """Make what EMCP needs and say it in `environment`, without starting anything."""
        Platform.live.append(self)
        self.run_dir.mkdir()
        self.network = create_network(self.instance, {"emcp.instance": self.instance}, self.bridges)
        public, internal, https, http = free_ports(4)
        self.internal_url = f"http://127.0.0.1:{internal}"
        self.upstream_url = f"http://127.0.0.1:{public}"
        self.http_url = f"http://localhost:{http}"
        self.public_url = f"https://localhost:{https}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EMCP_")},
            "EMCP_DATA_DIR": str(self.data_dir),
            "EMCP_DOCKER_HOST": settings.docker_host(),
            "EMCP_BROKER": str(self.broker_socket),
            "EMCP_INSTANCE": self.instance,
            "EMCP_NETWORK": self.network.name,
            "EMCP_SUBNET": self.network.subnet,
            "EMCP_INTERNAL_SUBNET": self.network.internal_subnet,
            # Trying the firewall takes a container. test_isolation.py turns it on.
            "EMCP_FIREWALL": "off",
            "EMCP_BASE_IMAGE": settings.base_image(),
            "EMCP_PUBLIC_URL": self.public_url,
            "EMCP_LISTEN": f"{self.listen_on}:{public}",
            "EMCP_INTERNAL_LISTEN": f"{self.listen_on}:{internal}",
            "EMCP_INTERNAL_URL": self.internal_url,
            "EMCP_UPSTREAM_URL": self.upstream_url,
            "EMCP_HTTPS_ADDRESS": f"{self.listen_on}:{https}",
            "EMCP_HTTPS_PORT": str(https),
            "EMCP_HTTP_ADDRESS": f"{self.listen_on}:{http}",
            "EMCP_HTTP_PORT": str(http),
            # The tests present many wrong tokens from one address; test_lock_out.py has a platform of its own.
            "EMCP_WRONG_TOKENS_PER_MINUTE": "100000",
            # As in compose.yml.
            "GOMEMLIMIT": "200MiB",
            **self._emcp_settings,
        }
        if not self.environment["EMCP_BROKER"]:
            del self.environment["EMCP_BROKER"]
        if self._holds_sockets:
            self.environment["EMCP_SOCKETS"] = str(self.run_dir / "sockets")

    def api_as(self, token: str | None) -> Api:
        """The API as the holder of this token sees it; None is nobody."""
        api = Api(self.public_url, self.ca_file, token)
        self._apis.append(api)
        return api

    def start_emcp(self) -> None:
        """Start `emcp serve` and wait until its health check answers."""
        self.start_broker()
        self._emcp = self._spawn([str(settings.emcp_bin()), "serve"], self.emcp_log)
        until("emcp to listen", lambda: self._answers(f"{self.upstream_url}/healthz"), START_DEADLINE_SECS)

    def start_broker(self) -> None:
        """Start what uses the engine for emcp, unless it runs with the same settings; it outlives emcp."""
        if self._broker is not None and self._broker.poll() is None and self._brokers_environment == self.environment:
            return
        self.kill_broker()
        if self.environment.get("EMCP_BROKER"):
            self._brokers_environment = dict(self.environment)
            self._broker = self._spawn([str(settings.emcp_bin()), "broker"], self.broker_log)

    def kill_broker(self) -> None:
        """End it as a power cut would."""
        if self._broker is not None:
            self._broker.kill()
            self._broker.wait()
            self._broker = None

    def start_holder(self) -> None:
        """Start what holds the listening sockets, so that they outlive emcp."""
        self._holder = self._spawn([str(settings.emcp_bin()), "hold-sockets"], self.run_dir / "holder.log")

    def kill_holder(self) -> None:
        """End it as a power cut would."""
        assert self._holder is not None
        self._holder.kill()
        self._holder.wait()

    def kill_emcp(self) -> None:
        """End emcp as a power cut would."""
        assert self._emcp is not None
        self._emcp.send_signal(signal.SIGKILL)
        self._emcp.wait()

    def stop_emcp(self) -> None:
        """End emcp as an operator would."""
        assert self._emcp is not None
        self._emcp.terminate()
        self._emcp.wait(STOP_DEADLINE_SECS)

    def try_second_emcp(self) -> tuple[int, str]:
        """Start one more emcp on the same data directory; its exit code and what it said."""
        public, internal = free_ports(2)
        listeners = {"EMCP_LISTEN": f"127.0.0.1:{public}", "EMCP_INTERNAL_LISTEN": f"127.0.0.1:{internal}"}
        done = subprocess.run(
            [str(settings.emcp_bin()), "serve"],
            env={**self.environment, **listeners},
            cwd=self.run_dir,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_DEADLINE_SECS,
        )
        return done.returncode, done.stdout

    def wait_ready(self) -> None:
        """Wait until EMCP says that store, engine and Traefik are all there, and Traefik leads to EMCP."""
        until("emcp to be ready", lambda: self._answers(f"{self.internal_url}/readyz"), START_DEADLINE_SECS)
        until("Traefik to lead to emcp", lambda: self._answers(f"{self.public_url}/healthz"), START_DEADLINE_SECS)

    def container_of(self, server: str) -> str:
        container: str = self.api.server(server)["container_id"]
        return container

    def log_tails(self) -> list[tuple[str, str]]:
        """The end of each process's log, for the report of a failed test."""
        return [
            (f"{self.instance} {path.name}", "\n".join(shorten_log(path)))
            for path in (self.emcp_log, self.broker_log, self.traefik_log)
            if path.exists()
        ]

    def stop(self) -> None:
        """End and remove everything; goes on to the next thing when one fails, and then says so."""
        if self in Platform.live:
            Platform.live.remove(self)
        for api in self._apis:
            api.close()
        if self._traefik is not None:
            # Asked nicely it would wait for open streams, which never end by themselves.
            self._traefik.kill()
            self._traefik.wait()
        if self._emcp is not None:
            self._emcp.terminate()
            try:
                self._emcp.wait(STOP_DEADLINE_SECS)
            except subprocess.TimeoutExpired:
                self._emcp.kill()
                self._emcp.wait()
        if self._holder is not None:
            self.kill_holder()
        self.kill_broker()
        remove_containers(containers(self.instance))
        try:
            for network in (self.instance, f"{self.instance}-internal"):
                _remove_network(network)
        finally:
            shutil.rmtree(self.run_dir, ignore_errors=True)

    def _start_traefik(self) -> None:
        configuration = self.data_dir / "traefik" / "traefik.yml"
        until("emcp to render traefik.yml", configuration.exists, START_DEADLINE_SECS)
        command = [str(settings.traefik_bin()), f"--configFile={configuration}"]
        self._traefik = self._spawn(command, self.traefik_log)

    def _spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=self.environment, cwd=self.run_dir, stdout=output, stderr=subprocess.STDOUT
            )
        record_process(self.run_dir, process.pid)
        return process

    def _answers(self, url: str) -> bool:
        for process, log in ((self._emcp, self.emcp_log), (self._traefik, self.traefik_log)):
            if process is not None and process.poll() is not None:
                tail = log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{tail}")
        verify = self.api.tls if url.startswith("https:") else TRUSTS_NOBODY
        try:
            return httpx.get(url, verify=verify, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


def _remove_network(name: str) -> None:
    try:
        docker("network", "rm", name)
    except DockerError as error:
        if "not found" not in str(error) and "No such network" not in str(error):
            raise


def shorten_log(path: Path) -> list[str]:
    """The last lines of a log; Traefik's access lines, of a thousand characters each, are cut to what matters."""
    lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    shortened = [_access_line(line) or line for line in lines]
    # Polling leaves the same line many times.
    return [line if count == 1 else f"{line} ({count} times)" for line, count in _runs(shortened)]


def _runs(lines: list[str]) -> list[tuple[str, int]]:
    return [(line, len(list(group))) for line, group in itertools.groupby(lines)]


def _access_line(line: str) -> str | None:
    try:
        entry = json.loads(line)
        request = f"{entry['RequestMethod']} {entry['RequestPath']}"
        return f"{request} -> {entry['DownstreamStatus']} by {entry.get('RouterName')}"
    except (ValueError, KeyError, TypeError):
        return None
