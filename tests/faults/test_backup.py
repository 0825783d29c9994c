"""A platform is backed up while callers write, and is the same platform again elsewhere."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from harness import FaultPlatform, Json
from support.clients import bearer
from support.waits import until

WRITERS = 3
BACKUPS = 5

# Answers with the digest of its secret.
TELLS = """
import hashlib
import os


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    digest = hashlib.sha256(os.environ["SECRET"].encode()).hexdigest()
    await send({"type": "http.response.body", "body": digest.encode()})
"""


@pytest.fixture(scope="module")
def secret() -> str:
    return f"planted-{secrets.token_hex(16)}"


@pytest.fixture(scope="module")
def token(platform: FaultPlatform, secret: str) -> str:
    """What a client has of the platform that is backed up, with one server running and one stopped."""
    api = platform.api
    env = [{"key": "SECRET", "value": secret, "is_secret": True}, {"key": "PLAIN", "value": "1", "is_secret": False}]
    for name in ("runs", "rests"):
        api.call("POST", "/api/servers", json={"name": name, "code": TELLS, "entry_object": "app", "env": env})
        api.wait_for(name, "running")
    api.action("rests", "stop", wait_secs=30)
    api.wait_for("rests", "stopped")
    return api.connect_token("client", ["runs", "rests"])


@pytest.fixture(scope="module")
def backups(platform: FaultPlatform, token: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Made one after the other by the command and by the API while servers come, change and go; the last of each."""
    folder = tmp_path_factory.mktemp("backups")
    made: dict[str, Path] = {}
    with _writers(platform) as written, platform.direct() as http:
        for number in range(BACKUPS):
            before = written()
            made["with keys"] = folder / f"full-{number}.tar"
            done = platform.run_emcp("backup", str(made["with keys"]), "--with-keys")
            assert done.returncode == 0, done.stdout
            made["without keys"] = folder / f"plain-{number}.tar"
            made["without keys"].write_bytes(http.get("/api/backup").raise_for_status().content)
            until("the callers to go on", lambda before=before: written() > before + WRITERS, 30)
    assert made["with keys"].stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob("*.part"))
    return made


@pytest.fixture
def empty(new_platform: Callable[..., FaultPlatform]) -> FaultPlatform:
    """Another platform on another network, of which nothing is there but its settings."""
    made = new_platform()
    made.prepare()
    return made


def test_a_restored_platform_is_the_same_elsewhere(
    platform: FaultPlatform, backups: dict[str, Path], empty: FaultPlatform, token: str, secret: str
) -> None:
    done = empty.run_emcp("restore", str(backups["with keys"]))
    assert done.returncode == 0, done.stdout
    checked = empty.check()
    assert checked.returncode == 0, f"what was restored is not sound:\n{checked.stdout}"
    empty.start()
    servers = {server["name"]: server for server in empty.wait_settled()}
    assert (servers["runs"]["status"], servers["rests"]["status"]) == ("running", "stopped")
    assert empty.admin_token == platform.admin_token
    for name in ("runs", "rests"):
        assert _lasting(empty, name) == _lasting(platform, name)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    # The client's own token, through the new platform's Traefik.
    answer = empty.api.request("GET", "/api/runs/", headers=bearer(token))
    assert (answer.status_code, answer.text) == (200, digest)
    assert empty.api.request("GET", "/api/rests/", headers=bearer(token)).status_code == 503
    empty.api.action("rests", "start", wait_secs=60)
    empty.api.wait_for("rests", "running")
    assert empty.api.request("GET", "/api/rests/", headers=bearer(token)).text == digest
    # What callers were in the middle of is there whole or not at all.
    for name in servers.keys() - {"runs", "rests"}:
        assert empty.api.request("GET", f"/api/servers/{name}/code").text.startswith("app = ")
    empty.assert_sound()


def test_a_backup_without_keys_opens_with_the_master_key_alone(
    platform: FaultPlatform, backups: dict[str, Path], empty: FaultPlatform
) -> None:
    refused = empty.run_emcp("restore", str(backups["without keys"]))
    assert refused.returncode != 0 and "master.key" in refused.stdout, refused.stdout
    assert not empty.data_dir.exists(), "a failed restore has left something"
    empty.data_dir.mkdir()
    (empty.data_dir / "master.key").write_bytes((platform.data_dir / "master.key").read_bytes())
    done = empty.run_emcp("restore", str(backups["without keys"]))
    assert done.returncode == 0, done.stdout
    checked = empty.check()
    assert checked.returncode == 0, checked.stdout
    # Its own tokens come with the first start.
    assert not (empty.data_dir / "admin-token").exists()


def test_a_damaged_backup_is_refused_and_nothing_written(
    backups: dict[str, Path], empty: FaultPlatform, tmp_path: Path
) -> None:
    whole = backups["with keys"].read_bytes()
    altered = bytearray(whole)
    altered[whole.index(b"SECRET") + 1] ^= 1
    damaged = {"empty": b"", "half": whole[: len(whole) // 2], "without its end": whole[: -3 * 512]}
    damaged |= {"altered": bytes(altered), "no archive": b"\x7fELF" * 4096}
    for what, content in damaged.items():
        archive = tmp_path / "damaged.tar"
        archive.write_bytes(content)
        done = empty.run_emcp("restore", str(archive))
        assert done.returncode != 0, f"{what}: {done.stdout}"
        assert "damaged" in done.stdout or "not a backup" in done.stdout, f"{what}: {done.stdout}"
        assert not empty.data_dir.exists(), f"{what}: something was written"


def test_a_platform_in_use_is_not_restored_into(platform: FaultPlatform, backups: dict[str, Path]) -> None:
    done = platform.run_emcp("restore", str(backups["with keys"]))
    assert done.returncode != 0 and "empty data directory" in done.stdout, done.stdout
    assert platform.api.server("runs")["status"] == "running"


def test_a_backup_never_replaces_a_file(platform: FaultPlatform, backups: dict[str, Path]) -> None:
    before = backups["with keys"].read_bytes()
    done = platform.run_emcp("backup", str(backups["with keys"]))
    assert done.returncode != 0 and "choose another name" in done.stdout, done.stdout
    assert backups["with keys"].read_bytes() == before
    assert not backups["with keys"].with_suffix(".part").exists()


def _lasting(platform: FaultPlatform, name: str) -> Json:
    """What of a server is the same wherever it runs."""
    server = platform.api.server(name)
    kept = {key: server[key] for key in ("id", "desired", "version", "description", "limits", "created_at")}
    for part in ("env", "versions"):
        kept[part] = platform.api.call("GET", f"/api/servers/{name}/{part}")
    return kept


@contextmanager
def _writers(platform: FaultPlatform) -> Iterator[Callable[[], int]]:
    """Callers who create, change and delete servers until the end; yields how many rounds they have done."""
    is_over = threading.Event()
    rounds = [0] * WRITERS

    def write(number: int) -> None:
        with platform.direct() as http:
            while not is_over.is_set():
                _one_round(http, f"writer-{number}-{rounds[number]}")
                rounds[number] += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            yield lambda: sum(rounds)
        finally:
            is_over.set()
    for writer in writers:
        writer.result()


def _one_round(http: httpx.Client, name: str) -> None:
    env = [{"key": "SECRET", "value": name, "is_secret": True}]
    path = f"/api/servers/{name}"
    body = {"name": name, "code": f"app = 1  # {name}", "env": env, "start": False}
    http.post("/api/servers", json=body).raise_for_status()
    http.put(f"{path}/code", json={"code": f"app = 2  # {name}"}).raise_for_status()
    http.put(f"{path}/env", json={"env": [*env, {"key": "MORE", "value": "x", "is_secret": False}]}).raise_for_status()
    http.delete(path).raise_for_status()
