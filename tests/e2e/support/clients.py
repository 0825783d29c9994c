"""Real MCP clients. Each is a program that runs one scenario; see clients/scenario.py."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import E2E_DIR
from .toolchains import node_clients, python_environment

Json = dict[str, Any]

SCENARIO_TIMEOUT_SECS = 90
CLIENTS = ("python-1", "python-2", "typescript-1", "typescript-2")
TRANSPORTS = ("sse", "http")


@dataclass(frozen=True)
class Report:
    """What a client saw: an error that ended it, or one result per step."""

    client: str
    error: str | None
    results: list[Json]

    def value(self, index: int) -> Json:
        """The answer to one step, which must have succeeded."""
        assert self.error is None, f"{self.client} could not connect: {self.error}"
        result = self.results[index]
        assert result["ok"], f"{self.client}, step {index}: {result['error']}"
        value: Json = result["value"]
        return value


@dataclass(frozen=True)
class ClientDriver:
    """One SDK generation, ready to run scenarios against a platform with this CA."""

    name: str
    command: tuple[str, ...]
    ca_file: Path

    def run(
        self,
        base_url: str,
        transport: str,
        headers: dict[str, str],
        steps: list[Json],
        query: str = "",
        oauth: Json | None = None,
    ) -> Report:
        """Run the steps against `…/api/NAME` over one transport."""
        endpoint = "sse" if transport == "sse" else "mcp"
        url = f"{base_url}/{endpoint}{query}"
        scenario = {"url": url, "transport": transport, "headers": headers, "steps": steps, "oauth": oauth}
        environment = {
            **os.environ,
            # The platform's CA takes the place of the system's, so that only a verified certificate passes.
            "SSL_CERT_FILE": str(self.ca_file),
            "NODE_EXTRA_CA_CERTS": str(self.ca_file),
            "NO_PROXY": "localhost,127.0.0.1",
        }
        environment.pop("NODE_TLS_REJECT_UNAUTHORIZED", None)
        done = subprocess.run(
            self.command,
            input=json.dumps(scenario),
            env=environment,
            capture_output=True,
            text=True,
            timeout=SCENARIO_TIMEOUT_SECS,
        )
        assert done.returncode == 0 and done.stdout, f"{self.name} ended with {done.returncode}: {done.stderr[-3000:]}"
        return Report(**json.loads(done.stdout))


def client_driver(name: str, ca_file: Path) -> ClientDriver:
    """One of CLIENTS; its packages are installed when they are missing."""
    language, _, generation = name.partition("-")
    if language == "python":
        interpreter = python_environment(E2E_DIR / f"requirements-mcp{generation}.txt")
        command = (str(interpreter), str(E2E_DIR / "clients" / f"python_v{generation}.py"))
    else:
        command = ("node", str(node_clients() / f"client_v{generation}.mjs"))
    return ClientDriver(name, command, ca_file)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
