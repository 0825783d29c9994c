"""Starts and watches containers of the base image through the docker command line."""

from __future__ import annotations

import http.client
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGE = os.environ.get("EMCP_BASE_IMAGE", "corp/mcp-base:latest")
LABEL = "emcp.test=bootstrap"
KEY_HEADER = "X-Emcp-Gateway-Key"
DEADLINE_SECS = 60
PREFIX = "/api/demo"

# As EMCP creates them.
HARDENING = [
    "--init", "--read-only", "--tmpfs", "/tmp:size=64m,mode=1777", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges", "--pids-limit", "128", "--memory", "512m", "--cpus", "1.0",
]  # fmt: skip


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def remove_leftovers() -> None:
    found = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
    if found:
        docker("rm", "--force", *found)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A container with one user file, from its creation to its removal."""

    container: str
    folder: Path
    key: str
    prefix: str
    log: list[str] = field(default_factory=list)
    events: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)
    _ip: str = ""

    @classmethod
    def start(cls, code: str | bytes | None, *, key: str = "test-key", prefix: str = PREFIX, **env: str) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="emcp-test-"))
        folder.chmod(0o755)
        if code is not None:
            (folder / "server.py").write_bytes(code.encode() if isinstance(code, str) else code)
            (folder / "server.py").chmod(0o644)
        name = f"emcp-test-{uuid.uuid4().hex[:12]}"
        settings = {"EMCP_SERVER_NAME": "demo", "EMCP_PATH_PREFIX": prefix, "EMCP_GATEWAY_KEY": key, **env}
        flags = [part for pair in settings.items() for part in ("--env", "=".join(pair))]
        docker(
            "run", "--detach", "--name", name, "--label", LABEL, *HARDENING,
            "--volume", f"{folder}:/app/user_code:ro", *flags, IMAGE,
        )  # fmt: skip
        server = cls(name, folder, key, prefix)
        threading.Thread(target=server._follow_log, daemon=True).start()
        return server

    def _follow_log(self) -> None:
        command = ["docker", "logs", "--follow", self.container]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.log.append(line.rstrip("\n"))
                if line.startswith('{"emcp"'):
                    self.events.put(json.loads(line)["emcp"])
        self.events.put(None)

    def event(self) -> dict[str, Any] | None:
        """The next report line; None when the container has ended without one."""
        return self.events.get(timeout=DEADLINE_SECS)

    def ready(self) -> dict[str, Any]:
        event = self.event()
        assert event is not None and event["event"] == "ready", "\n".join(self.log)
        return event

    def failed(self) -> tuple[dict[str, Any], int]:
        """The failure report and the exit code."""
        event = self.event()
        assert event is not None and event["event"] == "failed", "\n".join(self.log)
        exit_code = self.wait_exit()
        assert self.events.get(timeout=DEADLINE_SECS) is None, "more than one report line"
        return event, exit_code

    def wait_exit(self) -> int:
        return int(docker("wait", self.container))

    @property
    def text_log(self) -> str:
        return "\n".join(self.log)

    @property
    def ip(self) -> str:
        if not self._ip:
            self._ip = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.container)
        return self._ip

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.ip, 8000, timeout=30)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, key: str | None = ""
    ) -> Answer:
        """One request with the server's own gateway key, another one, or none (None)."""
        sent = {"Host": "mcp.example.com", "Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent[KEY_HEADER] = key or self.key
        connection = self.connection()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read().decode())
        finally:
            connection.close()

    def open_sse(self, path: str = "/sse") -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self.connection()
        connection.request("GET", path, headers={"Host": "mcp.example.com", KEY_HEADER: self.key})
        return connection, connection.getresponse()

    def stop(self) -> int:
        """Ends the container as EMCP does; its exit code, once its whole output is there."""
        docker("stop", "--time", "10", self.container)
        while self.events.get(timeout=DEADLINE_SECS) is not None:
            pass
        return self.wait_exit()

    def remove(self) -> None:
        docker("rm", "--force", self.container, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """An MCP client of one SDK version, in a container of the same image."""

    def __init__(self, runtime: str) -> None:
        self.name = f"emcp-test-client-{uuid.uuid4().hex[:12]}"
        script = Path(__file__).with_name("client.py")
        self._process = subprocess.Popen(
            [
                "docker", "run", "--interactive", "--rm", "--name", self.name, "--label", LABEL,
                "--volume", f"{script}:/tmp/client.py:ro", IMAGE, f"/opt/emcp/{runtime}/bin/python", "/tmp/client.py",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.major = self._read()["major"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client ended"
        return json.loads(line)

    def run(self, server: Server, transport: str, *steps: list[Any], mode: str = "auto") -> dict[str, Any]:
        path = "/sse" if transport == "sse" else "/mcp"
        request = {
            "url": f"http://{server.ip}:8000{path}",
            "transport": transport,
            "headers": {KEY_HEADER: server.key},
            "prefix": server.prefix,
            "mode": mode,
            "steps": steps,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply = self._read()
        assert "error" not in reply, f"{reply['error']}\n{server.text_log}"
        return reply

    def close(self) -> None:
        docker("rm", "--force", self.name, check=False)
        self._process.wait(timeout=DEADLINE_SECS)


def wait_until(condition: Any, what: str) -> None:
    """Waits for a condition that nothing announces."""
    deadline = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECS} s: {what}"
        time.sleep(0.02)
