"""What the gate costs: the same requests through the same Traefik without the gate, allowed and refused.

Run by `make bench`. The ways are measured in turn, round after round, so that a busy machine hits all of them:
look at the ratios. Nothing is asserted about speed; that every request got the answer it should is.

"consent" is forward-auth to a program that lets everything pass without a look (consent.py): what any gate costs in
Traefik.

Two backends. "light" is the ping page of a second Traefik, which costs next to nothing, so that what is left is
the way. "server" is a container of EMCP's with an ASGI app that does nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "e2e"))

import httpx  # noqa: E402
from support import settings  # noqa: E402
from support.api import TRUSTS_NOBODY  # noqa: E402
from support.network import free_ports  # noqa: E402
from support.running import Platform  # noqa: E402
from support.waits import until  # noqa: E402

CODE = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("http only")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
SERVER = "bench"
SCRIPT = Path(__file__).with_name("wrk.lua")
CONSENT = Path(__file__).with_name("consent.py")
READY_SECS = 60.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
TIME_WAIT = "06"


@dataclass(frozen=True, eq=False)
class Way:
    """One way for a request to go, and what it is answered with."""

    name: str
    backend: str
    url: str
    headers: Mapping[str, str]
    status: int = 200


@dataclass(frozen=True)
class Round:
    """One run of wrk."""

    per_sec: float
    p50_ms: float
    p99_ms: float
    traefik_us: float
    emcp_us: float
    new_connections: float
    broken: int


class Bench:
    """EMCP and Traefik as in the end-to-end tests, and routes without the gate beside EMCP's own."""

    def __init__(self, template_dir: Path) -> None:
        self.routes = template_dir / "routes.yml"
        self.routes.write_text("{}")
        template = (settings.REPO_DIR / "traefik" / "traefik.yml").read_text()
        provider = f"providers:\n  file:\n    filename: {self.routes}\n"
        assert template.count("\nproviders:\n") == 1
        (template_dir / "traefik.yml").write_text(template.replace("providers:\n", provider))
        self.platform = Platform(
            EMCP_TRAEFIK_TEMPLATE=str(template_dir / "traefik.yml"), EMCP_WRONG_TOKENS_PER_MINUTE=str(2**32 - 1)
        )
        self._helpers: list[subprocess.Popen[bytes]] = []

    def start(self) -> list[Way]:
        self.platform.start()
        api = self.platform.api
        # As much CPU as there is: its own limit is not what is measured.
        created = api.create(SERVER, CODE.encode(), start="true", entry_object="app", limits=json.dumps({"cpus": os.cpu_count()}))
        api.wait_for(SERVER, "running")
        token = api.connect_token("bench", [SERVER])
        address: str = api.server(SERVER)["address"]
        key = self._gateway_key(created["id"], address.partition(":")[0])
        self._route(created["id"], key, self._start_light(), self._start_consent())
        right = {"Authorization": f"Bearer {token}"}
        wrong = {"Authorization": f"Bearer {token[:-8]}00000000"}
        at = self.platform.public_url
        direct = f"http://{address}/x"
        ways = [
            Way("Traefik alone", "light", f"{at}/light/alone/ping", {}),
            Way("consent", "light", f"{at}/light/consent/ping", right),
            Way("gate allows", "light", f"{at}/light/gate/ping", right),
            Way("gate refuses, no token", "-", f"{at}/api/{SERVER}/x", {}, 401),
            Way("gate refuses, wrong token", "-", f"{at}/api/{SERVER}/x", wrong, 401),
            Way("backend directly", "server", direct, {"X-Emcp-Gateway-Key": key}),
            Way("Traefik alone", "server", f"{at}/server/alone/x", {}),
            Way("gate allows", "server", f"{at}/api/{SERVER}/x", right),
        ]
        for way in ways:
            until(f"{way.url} to answer", lambda way=way: self._answers(way), READY_SECS)
        return ways

    def measure(self, way: Way, clients: int, secs: int) -> Round:
        """One run of wrk, and what Traefik and EMCP spent on it."""
        platform = self.platform
        pids = platform.traefik_pid, platform.emcp_pid
        cpu, closed = [cpu_secs(pid) for pid in pids], self._closed_to_gate()
        command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{secs}s"]
        headers = [part for header in way.headers.items() for part in header]
        done = subprocess.run(
            [*command, "--script", str(SCRIPT), way.url, "--", *headers], capture_output=True, text=True, check=True
        )
        used = [cpu_secs(pid) - before for pid, before in zip(pids, cpu, strict=True)]
        new = len(self._closed_to_gate() - closed)
        said = json.loads(done.stdout.strip().splitlines()[-1])
        requests = said["requests"]
        bad = 0 if way.status == 200 else requests
        assert requests > 0, done.stdout + done.stderr
        assert said["bad_status"] == bad, f"{way.name}: {said['bad_status']} of {requests} answers were errors"
        return Round(
            per_sec=requests / said["microseconds"] * 1e6,
            p50_ms=said["p50"] / 1000,
            p99_ms=said["p99"] / 1000,
            traefik_us=used[0] / requests * 1e6,
            emcp_us=used[1] / requests * 1e6,
            new_connections=new / requests,
            broken=said["broken"],
        )

    def stop(self) -> None:
        for helper in self._helpers:
            helper.kill()
            helper.wait()
        self.platform.stop()

    def _start_light(self) -> str:
        (port,) = free_ports(1)
        entry_point = f"--entryPoints.light.address=127.0.0.1:{port}"
        flags = [entry_point, "--ping=true", "--ping.entryPoint=light", "--global.checkNewVersion=false"]
        self._run("light", str(settings.traefik_bin()), *flags)
        return f"http://127.0.0.1:{port}"

    def _start_consent(self) -> str:
        (port,) = free_ports(1)
        self._run("consent", sys.executable, str(CONSENT), str(port))
        return f"http://127.0.0.1:{port}"

    def _run(self, name: str, *command: str) -> None:
        with (self.platform.run_dir / f"{name}.log").open("wb") as log:
            self._helpers.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def _gateway_key(self, server_id: str, at: str) -> str:
        """What the gate gives Traefik for the container."""
        address = f"{self.platform.internal_url}/gate"
        headers = {"Authorization": f"Bearer {self.platform.admin_token}"}
        # As Traefik asks by the server's route.
        question = {"server": server_id, "at": at}
        answer = httpx.get(address, params=question, headers=headers, verify=TRUSTS_NOBODY, trust_env=False)
        assert answer.is_success, answer.text
        return answer.headers["X-Emcp-Gateway-Key"]

    def _gate(self, server_id: str) -> dict[str, object]:
        """EMCP's own middleware, to be used with another address."""
        address = f"{self.platform.internal_url}/traefik/config"
        headers = {"Authorization": f"Bearer {(self.platform.data_dir / 'provider-token').read_text().strip()}"}
        routes = httpx.get(address, headers=headers, verify=TRUSTS_NOBODY, trust_env=False)
        assert routes.is_success, routes.text
        return routes.json()["http"]["middlewares"][f"gate-{server_id}-sized"]["forwardAuth"]

    def _route(self, server_id: str, key: str, light_url: str, consent_url: str) -> None:
        """Routes beside EMCP's, with its own middleware, service and transport where they are used."""

        def router(prefix: str, service: str, *middlewares: str) -> dict[str, object]:
            rule = f"PathPrefix(`{prefix}/`)"
            return {"rule": rule, "priority": 5000, "middlewares": middlewares, "service": service, "tls": {}}

        def strip(prefix: str) -> dict[str, object]:
            return {"stripPrefix": {"prefixes": [prefix]}}

        light, server = "light", f"server-{server_id}@http"
        routers = {
            "light-alone": router("/light/alone", light, "strip-light-alone"),
            "light-consent": router("/light/consent", light, "consent", "strip-light-consent"),
            "light-gate": router("/light/gate", light, f"gate-{server_id}-sized@http", "strip-light-gate"),
            "server-alone": router("/server/alone", server, "key", "strip-server-alone"),
        }
        middlewares: dict[str, object] = {
            "key": {"headers": {"customRequestHeaders": {"X-Emcp-Gateway-Key": key}}},
            "consent": {"forwardAuth": {**self._gate(server_id), "address": consent_url}},
            "strip-light-alone": strip("/light/alone"),
            "strip-light-consent": strip("/light/consent"),
            "strip-light-gate": strip("/light/gate"),
            "strip-server-alone": strip("/server/alone"),
        }
        balancer = {"servers": [{"url": light_url}], "serversTransport": "emcp@http"}
        services = {light: {"loadBalancer": balancer}}
        # JSON is YAML. Renamed into place, so that Traefik never reads half of it.
        new = self.routes.with_suffix(".new")
        new.write_text(json.dumps({"http": {"routers": routers, "middlewares": middlewares, "services": services}}))
        new.rename(self.routes)

    def _answers(self, way: Way) -> bool:
        verify = self.platform.api.tls if way.url.startswith("https:") else TRUSTS_NOBODY
        try:
            answer = httpx.post(way.url, json={}, headers=dict(way.headers), verify=verify, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == way.status

    def _closed_to_gate(self) -> set[str]:
        """Local ends of the connections to the gate that Traefik has closed within the last minute."""
        wanted = f"{int(self.platform.internal_url.rpartition(':')[2]):04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {row[1] for row in rows if row[3] == TIME_WAIT and row[2].endswith(f":{wanted}")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 32])
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="emcp-bench-") as directory:
        bench = Bench(Path(directory))
        try:
            ways = bench.start()
            print(f"\nMedians of {options.rounds} rounds of {options.secs} s ({os.cpu_count()} cores):")
            for clients in options.clients:
                rounds: dict[Way, list[Round]] = {way: [] for way in ways}
                # One round beforehand is thrown away: it opens what stays open.
                for number in range(options.rounds + 1):
                    for way in ways:
                        result = bench.measure(way, clients, options.secs)
                        if number:
                            rounds[way].append(result)
                print_table(clients, rounds)
        except BaseException:
            for title, tail in bench.platform.log_tails():
                print(f"{title}:\n{tail}", file=sys.stderr)
            raise
        finally:
            bench.stop()


def cpu_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def print_table(clients: int, rounds: Mapping[Way, list[Round]]) -> None:
    alone = {way.backend: results for way, results in rounds.items() if way.name == "Traefik alone"}
    print(f"\n{clients} clients:\n")
    print("| way | backend | requests/s | of Traefik alone | p50, ms | more than alone | p99, ms | Traefik's CPU, µs"
          " | EMCP's CPU, µs | new connections to the gate | broken |")
    print(f"|---|---|{'---:|' * 9}")
    for way, results in rounds.items():
        base = alone.get(way.backend, alone["light"])
        # Within a round, then the median: neighbours in time are comparable.
        share = statistics.median(a.per_sec / b.per_sec for a, b in zip(results, base, strict=True))
        added = statistics.median(a.p50_ms - b.p50_ms for a, b in zip(results, base, strict=True))

        def middle(field: str, results: list[Round] = results) -> float:
            return statistics.median(getattr(result, field) for result in results)

        cells = [
            f"{middle('per_sec'):,.0f}",
            f"{share:.2f}",
            f"{middle('p50_ms'):.2f}",
            f"{added:+.2f}",
            f"{middle('p99_ms'):.2f}",
            f"{middle('traefik_us'):.0f}",
            f"{middle('emcp_us'):.0f}",
            f"{middle('new_connections'):.2f}",
            f"{sum(result.broken for result in results)}",
        ]
        print(f"| {way.name} | {way.backend} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
