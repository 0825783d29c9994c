"""Secrets are planted in a running platform, used in every way that might spread them, and looked for everywhere.

EMCP runs as a container here, as in production, with its log at `debug`. The table ALLOWED is the contract
(docs/adr/0004): where which of them may be found. Everywhere else, none may.
"""

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import settings
from support.api import TRUSTS_NOBODY
from support.clients import bearer
from support.docker import DockerError, docker, inspect
from support.logs import log_socket
from support.running import Platform
from support.streams import knock
from support.waits import until

Json = dict[str, Any]
Place = tuple[str, bytes]

SERVER = "planted"
PLAIN_VALUE = "plain-value-that-is-no-secret"
LOG_DEADLINE_SECS = 30.0

# Says its secrets in every way a careless program might.
BLABBER = '''\
import os
import sys
import traceback


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    secret, ask = os.environ["PLANTED"], scope["query_string"].decode()
    print(f"stdout: {secret}", flush=True)
    print(f"stderr: {secret}", file=sys.stderr, flush=True)
    print("environ:", open("/proc/self/environ").read(), flush=True)
    try:
        raise ValueError(f"cannot sign in with {secret}")
    except ValueError:
        traceback.print_exc()
    print(f"said {ask}", flush=True)
    if ask == "raise":
        raise RuntimeError(f"unhandled: {secret}")
    if ask == "crash":
        os._exit(3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
'''

SERVERS_OWN = {"secret", "earlier secret", "gateway key"}
KEYS = {"master key", "admin token", "provider token", "key of the CA"}
# A pattern for the whole name of a place, and what may be found there.
ALLOWED: list[tuple[str, set[str]]] = [
    (r"file master\.key", {"master key"}),
    (r"file admin-token", {"admin token"}),
    (r"file provider-token", {"provider token"}),
    (r"file ca\.key", {"key of the CA"}),
    # Traefik shows it when it fetches its routes.
    (r"file traefik/traefik\.yml", {"provider token"}),
    # What Docker was given, and what it keeps of the output by itself: for whoever holds Docker's socket.
    (r"server's container: environment", SERVERS_OWN),
    (r"server's container: output kept by Docker", SERVERS_OWN),
    (r"process of the server: environment", SERVERS_OWN),
    # On the internal listener; Traefik copies it to the request.
    (r"internal GET /gate with a token", {"gateway key"}),
    (r"backup with keys", KEYS),
]


class ContainedPlatform(Platform):
    """EMCP as a container on the host's network, so that everything else is where it is for other tests."""

    @property
    def container(self) -> str:
        return f"{self.instance}-emcp"

    def start_emcp(self) -> None:
        flags = [f"--env={key}={value}" for key, value in self.environment.items() if key.startswith("EMCP_")]
        flags += [f"--volume={settings.emcp_bin()}:/usr/local/bin/emcp:ro", f"--volume={self.run_dir}:{self.run_dir}"]
        self.start_broker()
        flags += ["--network=host", "--user=0:0", "--cap-drop=ALL", "--read-only"]
        # Of its instance, so that it is removed with it; EMCP's own list is of containers that serve a server.
        flags += [f"--label=emcp.instance={self.instance}", "--entrypoint=/usr/local/bin/emcp"]
        command = ["docker", "--host", settings.docker_host(), "run", "--rm", f"--name={self.container}", *flags]
        self._emcp = self._spawn([*command, settings.base_image(), "serve"], self.emcp_log)
        until("emcp to listen", lambda: self._answers(f"{self.upstream_url}/healthz"), 60)

    def kill_emcp(self) -> None:
        assert self._emcp is not None
        docker("kill", self.container)
        self._emcp.wait()
        until("its container to go", self._is_gone, 30)

    def _is_gone(self) -> bool:
        try:
            docker("inspect", self.container)
        except DockerError:
            return True
        return False


@dataclass
class Planted:
    """The values, and what was said of them in answers that were refused."""

    platform: ContainedPlatform
    values: dict[str, str]
    refusals: list[bytes] = field(default_factory=list)
    streamed: bytes = b""

    def found_in(self, content: bytes) -> set[str]:
        """Which of the values are there, as they are or as JSON writes them."""
        return {
            name
            for name, value in self.values.items()
            if value.encode() in content or json.dumps(value)[1:-1].encode() in content
        }


@pytest.fixture(scope="module")
def planted() -> Iterator[Planted]:
    platform = ContainedPlatform(EMCP_LOG="debug", EMCP_STOP_GRACE_SECS="2")
    try:
        platform.start()
        yield _plant(platform)
    finally:
        platform.stop()


def _plant(platform: ContainedPlatform) -> Planted:
    earlier, secret = (f"planted-{secrets.token_hex(20)}" for _ in range(2))
    api = platform.api
    server = api.create(SERVER, BLABBER, entry_object="app", env=json.dumps(_env(earlier)), start="true")
    api.wait_for(SERVER, "running")
    token, url_token = (api.connect_token(name, [SERVER]) for name in ("planted", "planted-url"))
    environment = _environment_of(platform.container_of(SERVER))
    planted = Planted(
        platform,
        {
            "secret": secret,
            "earlier secret": earlier,
            "token": token,
            "token in a URL": url_token,
            "gateway key": environment["EMCP_GATEWAY_KEY"],
            "admin token": platform.admin_token,
            "provider token": (platform.data_dir / "provider-token").read_text().strip(),
            "master key": (platform.data_dir / "master.key").read_text().strip(),
            "key of the CA": (platform.data_dir / "ca.key").read_text().splitlines()[1],
        },
    )
    with log_socket(api, SERVER) as log:
        _say(platform, "first", bearer(token))
        records = log.until_line("said first")
        # From here on another secret is stored than the container has, also for an EMCP that was not there before.
        api.set_env(SERVER, _env(secret))
        assert knock(api, SERVER, {}, query=f"?key={url_token}").status_code == 200
        planted.streamed = json.dumps(records).encode()
    platform.kill_emcp()
    platform.start_emcp()
    platform.wait_ready()
    _say(platform, "second", bearer(token))
    _say(platform, "raise", bearer(token))
    _say(platform, "crash", bearer(token))
    until("the crash to be told", lambda: api.server(SERVER)["last_error"], LOG_DEADLINE_SECS)
    planted.streamed += json.dumps(api.server(SERVER)["last_error"]).encode()
    api.action(SERVER, "restart", wait_secs=60)
    api.wait_for(SERVER, "running")
    _say(platform, "third", bearer(token))
    with log_socket(api, SERVER) as log:
        planted.streamed += json.dumps(log.until_line("said third")).encode()
    planted.refusals = _refused(platform, server["id"], planted.values)
    return planted


def _env(secret: str) -> list[Json]:
    return [
        {"key": "PLANTED", "value": secret, "is_secret": True},
        {"key": "PLAIN", "value": PLAIN_VALUE, "is_secret": False},
    ]


def _say(platform: Platform, what: str, headers: dict[str, str]) -> None:
    platform.api.request("GET", f"/api/{SERVER}/?{what}", headers=headers)
    until(f"{what} to be logged", lambda: f"said {what}" in platform.api.log(SERVER), LOG_DEADLINE_SECS)


def _refused(platform: Platform, server_id: str, values: dict[str, str]) -> list[bytes]:
    """Answers to calls that are wrong and have a secret in them."""
    api, secret = platform.api, values["secret"]
    broken = json.dumps({"env": [{"key": "A", "value": secret, "is_secret": "x"}]})
    answers = [
        api.request("PUT", f"/api/servers/{server_id}/env", content=content, headers={"Content-Type": kind})
        for kind, content in (("application/json", broken), ("application/json", broken[:-5]), ("text/plain", secret))
    ]
    answers.append(api.request("PUT", f"/api/servers/{server_id}/env", json={"env": [*_env(secret), *_env(secret)]}))
    answers.append(api.request("PUT", f"/api/servers/{server_id}/env", json={"env": _env(secret + "\0")}))
    answers.append(api.request("POST", "/api/session", json={"token": values["token"] + "x"}))
    answers.append(api.request("GET", "/api/servers", headers=bearer(values["token"])))
    answers.append(knock(api, "no-such-server", bearer(values["token"])))
    answers.append(knock(api, SERVER, bearer(values["token"] + "x")))
    assert all(400 <= answer.status_code < 500 for answer in answers), answers
    return [_whole(answer) for answer in answers]


def _whole(answer: httpx.Response) -> bytes:
    return str(answer.headers.raw).encode() + answer.content


def _environment_of(container: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in inspect(container)["Config"]["Env"])


# --- the places -----------------------------------------------------------


def files(planted: Planted) -> Iterator[Place]:
    """The data directory: database, kept logs, code, keys."""
    data = planted.platform.data_dir
    found = [path for path in data.rglob("*") if path.is_file()]
    assert data / "emcp.redb" in found and any(path.name == "output.jsonl" for path in found)
    for path in found:
        yield f"file {path.relative_to(data)}", path.read_bytes()


def logs(planted: Planted) -> Iterator[Place]:
    platform = planted.platform
    content = platform.emcp_log.read_bytes()
    assert b"DEBUG" in content, "EMCP's log is not at debug"
    yield "log of EMCP", content
    yield "log of EMCP kept by Docker", docker("logs", platform.container).encode()
    yield "log of Traefik", platform.traefik_log.read_bytes()
    yield "log stream over the WebSocket and the last error", planted.streamed
    yield "refusals", b"".join(planted.refusals)


def answers(planted: Planted) -> Iterator[Place]:
    """Every GET route there is, read from the page that has them all, so that none is forgotten."""
    router = (settings.REPO_DIR / "src" / "http" / "router.rs").read_text()
    public, internal = (_get_routes(part) for part in router.split("fn internal_routes("))
    assert len(public) > 12 and "/traefik/config" in internal
    platform = planted.platform
    for path in public:
        yield f"public GET {path}", _answer(platform.api.http, path)
        yield f"public GET {path} as nobody", _answer(platform.api_as(None).http, path)
    server_id = platform.api.server(SERVER)["id"]
    as_client, as_traefik = (bearer(planted.values[name]) for name in ("token", "provider token"))
    with httpx.Client(base_url=platform.internal_url, verify=TRUSTS_NOBODY, trust_env=False, timeout=30) as http:
        for path in internal:
            yield f"internal GET {path}", _answer(http, path)
        routes = http.get("/traefik/config", headers=as_traefik)
        yield "internal GET /traefik/config of Traefik", _whole(routes)
        forwarded = {"X-Forwarded-Method": "POST", "X-Forwarded-Uri": f"/api/{SERVER}/mcp"}
        asked = routes.json()["http"]["middlewares"][f"gate-{server_id}"]["forwardAuth"]["address"]
        gate = http.get(asked, headers={**forwarded, **as_client})
        assert gate.is_success, gate.text
        yield "internal GET /gate with a token", _whole(gate)


def _answer(http: httpx.Client, path: str) -> bytes:
    """The whole answer; of a stream without end what it begins with, which is everything there is now."""
    with http.stream("GET", path) as answer:
        is_endless = answer.headers.get("content-type", "").startswith("text/event-stream")
        content = next(answer.iter_bytes()) if is_endless else answer.read()
        return str(answer.headers.raw).encode() + content


def _get_routes(text: str) -> list[str]:
    paths: list[str] = re.findall(r'\(GET, "([^"]*)"', text)
    return [re.sub(r"\{\w+\}", SERVER, path.replace("{number}", "1")) for path in paths]


def backups(planted: Planted) -> Iterator[Place]:
    api = planted.platform.api
    yield "backup without keys", api.request("GET", "/api/backup").content
    yield "backup with keys", api.request("GET", "/api/backup", params={"keys": "true"}).content


def containers(planted: Planted) -> Iterator[Place]:
    platform = planted.platform
    yield "EMCP's container", json.dumps(inspect(platform.container)).encode()
    server = platform.container_of(SERVER)
    inspected = inspect(server)
    environment = inspected["Config"].pop("Env")
    assert any(PLAIN_VALUE in variable for variable in environment)
    yield "server's container: environment", json.dumps(environment).encode()
    yield "server's container: labels, command and all else", json.dumps(inspected).encode()
    kept = subprocess.run(
        ["docker", "--host", settings.docker_host(), "logs", server], capture_output=True, check=True, timeout=60
    )
    yield "server's container: output kept by Docker", kept.stdout + kept.stderr
    yield "network", docker("network", "inspect", platform.instance).encode()


def processes(planted: Planted) -> Iterator[Place]:
    """Of the whole machine. Those that end while they are looked at have nothing to show any more."""
    server = planted.platform.container_of(SERVER).encode()
    seen = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command, environment, cgroup = (
                (process / name).read_bytes() for name in ("cmdline", "environ", "cgroup")
            )
        except OSError:
            continue
        is_servers = server in cgroup
        seen += is_servers
        yield "command line of a process", command
        yield f"process of {'the server' if is_servers else 'others'}: environment", environment
    assert seen, "the server's processes were not seen"


PLACES: list[Callable[[Planted], Iterator[Place]]] = [files, logs, answers, backups, containers, processes]


@pytest.mark.parametrize("places", PLACES, ids=lambda places: places.__name__)
def test_a_secret_is_found_only_where_the_contract_says(
    planted: Planted, places: Callable[[Planted], Iterator[Place]]
) -> None:
    looked_at = 0
    leaks = []
    for place, content in places(planted):
        looked_at += 1
        allowed = {name for pattern, names in ALLOWED if re.fullmatch(pattern, place) for name in names}
        leaks += [f"{name}: in {place}" for name in planted.found_in(content) - allowed]
    assert looked_at > 1
    assert not leaks, "\n".join(sorted(set(leaks)))


def test_the_search_finds_what_is_there(planted: Planted) -> None:
    """Each secret is found where it must be; without that the search above would prove nothing."""
    found = {name: planted.found_in(content) for places in PLACES for name, content in places(planted)}
    assert found["server's container: environment"] == {"secret", "gateway key"}
    assert "secret" in found["server's container: output kept by Docker"]
    assert found["backup with keys"] == KEYS
    assert "gateway key" in found["internal GET /gate with a token"]
    assert b"stdout: ******" in planted.streamed and b"cannot sign in with ******" in planted.streamed
