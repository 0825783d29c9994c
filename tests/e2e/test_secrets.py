"""A secret is where its server can use it, and nowhere else: no file, no log, no answer of the API."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import SERVERS_DIR
from support.api import Api
from support.clients import bearer
from support.docker import inspect
from support.running import Platform
from support.streams import HttpSession, knock

Json = dict[str, Any]

SERVER = "secretive"
PLAIN_VALUE = "plain-value-that-is-no-secret"


@dataclass(frozen=True)
class Planted:
    """Values that must not be found, and one that must: without it the search would prove nothing."""

    secret: str
    replaced_secret: str
    token: str
    url_token: str
    gateway_key: str

    def needles(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items()}


@pytest.fixture(scope="module")
def planted(platform: Platform) -> Iterator[Planted]:
    """A server with secrets, used in every way that could leak them."""
    api = platform.api
    replaced, secret = (f"planted-{secrets.token_hex(16)}" for _ in range(2))
    api.create(SERVER, SERVERS_DIR / "fixture_v1.py", env=_env_field(replaced))
    api.set_env(
        SERVER,
        [
            {"key": "PLANTED", "value": secret, "is_secret": True},
            {"key": "PLAIN", "value": PLAIN_VALUE, "is_secret": False},
        ],
    )
    api.action(SERVER, "start", wait_secs=60)
    server = api.wait_for(SERVER, "running")
    variables = dict(line.split("=", 1) for line in inspect(server["container_id"])["Config"]["Env"])
    token = api.connect_token("secret-user", [SERVER])
    url_token = api.connect_token("secret-url-user", [SERVER])
    with HttpSession(api, SERVER, bearer(token)) as session:
        assert session.call_tool("secret_length", {"key": "PLANTED"}) == str(len(secret))
    assert knock(api, SERVER, {}, query=f"?key={url_token}").status_code == 200
    # Refusals are logged too, and must not say what was tried.
    assert knock(api, "fixture-v2", bearer(token)).status_code in (403, 404)
    yield Planted(secret, replaced, token, url_token, variables["EMCP_GATEWAY_KEY"])
    api.delete(SERVER)


def test_no_secret_is_in_any_file_of_the_platform(platform: Platform, planted: Planted) -> None:
    """The store, the code, the kept logs, emcp's log and Traefik's log and configuration."""
    files = [path for path in platform.run_dir.rglob("*") if path.is_file()]
    assert platform.data_dir / "emcp.redb" in files and platform.emcp_log in files and platform.traefik_log in files
    for path in files:
        content = path.read_bytes()
        for name, value in planted.needles().items():
            assert value.encode() not in content, f"the {name} is in {path.name}"


def test_the_search_would_find_a_secret(platform: Platform, planted: Planted) -> None:
    assert PLAIN_VALUE.encode() in (platform.data_dir / "emcp.redb").read_bytes()
    assert SERVER in platform.traefik_log.read_text() or SERVER in platform.emcp_log.read_text()


def test_no_answer_of_the_api_tells_a_secret(api: Api, planted: Planted) -> None:
    paths = ["", "/env", "/connection", "/versions", "/code", "/logs"]
    answers = {path: api.request("GET", f"/api/servers/{SERVER}{path}") for path in paths}
    answers |= {path: api.request("GET", path) for path in ("/api/servers", "/api/tokens", "/api/overview")}
    for path, answer in answers.items():
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        for name, value in planted.needles().items():
            assert value not in answer.text, f"GET {path} tells the {name}"
    shown = {variable["key"]: variable for variable in answers["/env"].json()["env"]}
    assert shown["PLANTED"]["value"] == "******" and shown["PLANTED"]["is_secret"] is True
    assert shown["PLAIN"]["value"] == PLAIN_VALUE


def test_a_secret_sent_back_without_value_keeps_its_value(
    api: Api, planted: Planted, admin_headers: dict[str, str]
) -> None:
    """The dashboard reads the set, changes one variable, and sends it back."""
    shown: list[Json] = api.call("GET", f"/api/servers/{SERVER}/env")["env"]
    kept = [variable if not variable["is_secret"] else _without_value(variable) for variable in shown]
    api.set_env(SERVER, [*kept, {"key": "ADDED", "value": "1", "is_secret": False}])
    api.action(SERVER, "restart", wait_secs=60)
    api.wait_for(SERVER, "running")
    with HttpSession(api, SERVER, admin_headers) as session:
        assert session.call_tool("secret_length", {"key": "PLANTED"}) == str(len(planted.secret))
        assert session.call_tool("environment", {"key": "ADDED"}) == "1"


def test_the_files_of_the_platform_are_private(platform: Platform) -> None:
    for name in ("master.key", "admin-token", "provider-token", "ca.key", "traefik/traefik.yml"):
        assert mode_of(platform.data_dir / name) == 0o600, name
    assert mode_of(platform.data_dir / "emcp.redb") & 0o077 == 0


def test_the_admin_token_is_in_no_log(platform: Platform) -> None:
    for log in (platform.emcp_log, platform.traefik_log):
        assert platform.admin_token not in log.read_text()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _without_value(variable: Json) -> Json:
    return {key: value for key, value in variable.items() if key != "value"}


def _env_field(value: str) -> str:
    return f'[{{"key": "PLANTED", "value": "{value}", "is_secret": true}}]'
