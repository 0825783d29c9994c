"""A thin client of EMCP's REST API, as a developer's script would have it, always through Traefik."""

import json
import ssl
from pathlib import Path
from typing import Any

import httpx

from .waits import until

Json = dict[str, Any]

# For connections without TLS: loading the system's authorities for nothing costs 20 ms each time.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# Two noisy cores start a dozen Python servers at once in some tests.
START_DEADLINE_SECS = 90.0


class Api:
    """Calls with the admin token, or with the token given."""

    def __init__(self, public_url: str, ca_file: Path, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.public_url = public_url
        self.tls = _trusting(ca_file)
        self.http = httpx.Client(base_url=public_url, headers=headers, verify=self.tls, timeout=60, trust_env=False)

    def close(self) -> None:
        self.http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call, answered whatever its status."""
        return self.http.request(method, path, **options)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """One call that must succeed; returns its JSON."""
        response = self.request(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def create(self, name: str, code: str | bytes | Path, **fields: str) -> Json:
        """Upload a file as a browser form does; it is started only with `start="true"`."""
        content = code.read_bytes() if isinstance(code, Path) else code
        files = {"file": ("server.py", content, "text/x-python")}
        created: Json = self.call("POST", "/api/servers", data={"name": name, "start": "false", **fields}, files=files)
        return created

    def server(self, server: str) -> Json:
        found: Json = self.call("GET", f"/api/servers/{server}")
        return found

    def servers(self) -> list[Json]:
        listing: list[Json] = self.call("GET", "/api/servers")["servers"]
        return listing

    def action(self, server: str, action: str, wait_secs: int | None = None) -> Json:
        params = {} if wait_secs is None else {"wait": str(wait_secs)}
        answer: Json = self.call("POST", f"/api/servers/{server}/action", json={"action": action}, params=params)
        return answer

    def delete(self, server: str) -> None:
        self.call("DELETE", f"/api/servers/{server}")

    def set_env(self, server: str, variables: list[Json]) -> Any:
        return self.call("PUT", f"/api/servers/{server}/env", json={"env": variables})

    def log(self, server: str, **params: str) -> str:
        response = self.request("GET", f"/api/servers/{server}/logs", params=params)
        assert response.is_success, f"log of {server}: {response.status_code} {response.text}"
        return response.text

    def connect_token(self, name: str, servers: list[str] | None) -> str:
        """A new token a client may use on the named servers."""
        body = {"name": name, "role": "connect", "servers": servers}
        token: str = self.call("POST", "/api/tokens", json=body)["token"]
        return token

    def wait_for(self, server: str, status: str, deadline_secs: float = START_DEADLINE_SECS) -> Json:
        """Wait for a status. A server that settles in `error` will not come to another one by itself."""

        def reached() -> Json | None:
            found = self.server(server)
            if found["status"] == status:
                return found
            if found["status"] == "error" and status == "running" and found["desired"] == "running":
                raise AssertionError(f"{server} failed: {json.dumps(found['last_error'], indent=1)}")
            return None

        return until(f"{server} to be {status}", reached, deadline_secs)


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Trust the platform's own CA and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    return context
