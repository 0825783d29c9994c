"""Bad input is refused in words, and leaves nothing half-made behind.

Through Traefik, as bytes on the wire. Which values are bad is looked at without, in `src/model` and `src/tests`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import bundles
from support.api import Api
from support.docker import containers, docker
from support.running import Platform
from support.waits import until

Json = dict[str, Any]

GOOD_CODE = "from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP('x')\n"
TAKEN = "taken-name"
MIB = 1024 * 1024
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def taken(platform: Platform, api: Api) -> Iterator[Json]:
    # What tests before these have deleted goes by and by.
    until("all containers and code to be those of servers", lambda: not left_over(platform), 60)
    server = api.create(TAKEN, GOOD_CODE)
    yield server
    api.delete(TAKEN)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(platform: Platform, taken: Json) -> Iterator[None]:
    """Holds around every test here: servers, containers and files are the same before and after."""
    before = state_of(platform)
    yield
    assert state_of(platform) == before


def left_over(platform: Platform) -> bool:
    """Whether there are containers, the broker's copies of their code, or code, of servers that are gone."""
    servers = {server["id"] for server in platform.api.servers()}
    code: set[str] = set()
    for server in servers:
        code |= bundles.of_versions(platform.api.call("GET", f"/api/servers/{server}/versions")["versions"])
    if bundles.on_disk(platform.data_dir) != code:
        return True
    template = '{{.Label "emcp.server"}}'
    owners = docker("ps", "--all", "--filter", f"label=emcp.instance={platform.instance}", "--format", template).splitlines()
    copies = list((platform.data_dir / "broker" / "code").glob("*"))
    return not servers.issuperset(owners) or len(copies) > len(owners)


def state_of(platform: Platform) -> tuple[list[Json], set[str], set[Path]]:
    wanted = [
        {key: value for key, value in server.items() if key in ("id", "name", "version", "desired", "updated_at")}
        for server in platform.api.servers()
    ]
    # Logs are written whenever a server says something, so only what a request could create is compared.
    files = {path for path in platform.data_dir.rglob("*") if path.suffix in (".py", ".tmp", "") and path.is_file()}
    return wanted, set(containers(platform.instance)), files


def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    """The answer is a refusal in EMCP's own form, with what a developer needs to find it in the log."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    error = answer.json()["error"]
    assert error["code"] == code, error
    assert error["message"] and error["request_id"]
    if field is not None:
        assert error["field"] == field, error


def upload(api: Api, name: str, code: bytes | str = GOOD_CODE, **fields: str) -> httpx.Response:
    data = {"name": name, "start": "false", **fields}
    return api.request("POST", "/api/servers", data=data, files={"file": ("server.py", code)})


@pytest.mark.parametrize(
    "name",
    ["", "../a", "a" * 41, "名字", "a\n"],
)
def test_a_bad_name(api: Api, name: str) -> None:
    refused(upload(api, name), 400, "invalid_name", "name")


@pytest.mark.parametrize("name", ["servers", "healthz"])
def test_a_reserved_name(api: Api, name: str) -> None:
    refused(upload(api, name), 400, "reserved_name", "name")


def test_a_name_that_is_taken(api: Api) -> None:
    refused(upload(api, TAKEN), 409, "name_taken", "name")


def test_a_missing_name(api: Api) -> None:
    answer = api.request("POST", "/api/servers", files={"file": ("server.py", GOOD_CODE)})
    refused(answer, 400, "missing_field", "name")


def test_a_missing_file(api: Api) -> None:
    answer = api.request("POST", "/api/servers", data={"name": "fileless"}, files={"other": ("x", "y")})
    refused(answer, 400, "unknown_field")


@pytest.mark.parametrize("code", [b"", b"   \n\t\n"], ids=["empty", "blank"])
def test_an_empty_file(api: Api, code: bytes) -> None:
    refused(upload(api, "empty-file", code), 400, "code_empty", "file")


@pytest.mark.parametrize(
    "code",
    [b"\x7fELF\x02\x01\x01\x00\xff\xfe", b"x = 1\x00\n", "x = 'é'".encode("latin-1")],
    ids=["elf", "nul", "latin1"],
)
def test_a_file_that_is_not_text(api: Api, code: bytes) -> None:
    refused(upload(api, "binary-file", code), 400, "code_not_text", "file")


@pytest.mark.parametrize("size", [MIB + 1, 10 * MIB], ids=["just-over", "10MiB"])
def test_a_file_too_large(api: Api, size: int) -> None:
    refused(upload(api, "large-file", b"#" * size), 413, "too_large")


def test_a_file_too_large_in_chunks(api: Api) -> None:
    """Without a Content-Length the bytes must be counted while they are read."""
    boundary = "emcpboundary"

    def body() -> Iterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\nchunked\r\n'.encode()
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="s.py"\r\n\r\n'.encode()
        for _ in range(160):
            yield b"#" * 65536
        yield f"\r\n--{boundary}--\r\n".encode()

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    refused(api.request("POST", "/api/servers", content=body(), headers=headers), 413, "too_large")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", b"no boundary in here"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nunfinished'),
        ("multipart/form-data; boundary=x", b""),
    ],
    ids=["not-multipart", "cut-short", "empty"],
)
def test_wrong_multipart(api: Api, content_type: str, body: bytes) -> None:
    answer = api.request("POST", "/api/servers", content=body, headers={"Content-Type": content_type})
    refused(answer, 400, "invalid_multipart")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'["by-place", "", "mcp", "auto", null, "x = 1"]',
        b"null",
        b'{"name": 5, "code": "x = 1"}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
    ids=["empty", "array", "null", "wrong-type", "not-utf8", "deep"],
)
def test_wrong_json(api: Api, body: bytes) -> None:
    answer = api.request("POST", "/api/servers", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 400, "invalid_json")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "", "nonsense"])
def test_an_unknown_content_type(api: Api, content_type: str) -> None:
    answer = api.request("POST", "/api/servers", content=GOOD_CODE, headers={"Content-Type": content_type})
    refused(answer, 400, "unsupported_content_type")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("entry_object", "a.b", "invalid_entry_object"),
        ("env", "not json", "invalid_json"),
    ],
)
def test_a_bad_field(api: Api, field: str, value: str, code: str) -> None:
    answer = upload(api, "bad-field", **{field: value})
    refused(answer, 400, code)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        *((key, "invalid_env_key") for key in ("", "A=B", "A\x00B", "Ä", "A" * 300)),
        ("EMCP_GATEWAY_KEY", "reserved_env_key"),
    ],
)
def test_a_bad_environment_key(api: Api, key: str, code: str) -> None:
    variables = [{"key": "GOOD", "value": "1", "is_secret": False}, {"key": key, "value": "1", "is_secret": False}]
    answer = api.request("PUT", f"/api/servers/{TAKEN}/env", json={"env": variables})
    refused(answer, 400, code, "env")
    assert api.call("GET", f"/api/servers/{TAKEN}/env")["env"] == []
    # The same on the way through a new server.
    created = upload(api, "bad-env", env=json.dumps(variables))
    refused(created, 400, code, "env")


def test_a_bad_environment_value(api: Api) -> None:
    variables = [{"key": "GOOD", "value": "nul \x00 byte", "is_secret": False}]
    answer = api.request("PUT", f"/api/servers/{TAKEN}/env", json={"env": variables})
    refused(answer, 400, "invalid_env_value")


@pytest.mark.parametrize("server", ["no-such-server", "..%2f..%2fetc", "%00", "a" * 500])
@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("PUT", "/env"), ("GET", "/logs")])
def test_what_is_no_servers_name(api: Api, server: str, method: str, path: str) -> None:
    ask_unknown(api, server, method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/code"),
        ("PUT", "/code"),
        ("GET", "/versions"),
        ("POST", "/versions/1/activate"),
        ("POST", "/action"),
        ("GET", "/env"),
        ("PUT", "/env"),
        ("GET", "/logs"),
        ("GET", "/connection"),
    ],
)
def test_an_unknown_server(api: Api, method: str, path: str) -> None:
    ask_unknown(api, UNKNOWN_ID, method, path)


def ask_unknown(api: Api, server: str, method: str, path: str) -> None:
    bodies: dict[str, Json] = {"/action": {"action": "start"}, "/env": {"env": []}, "/code": {"code": GOOD_CODE}}
    options = {} if method in ("GET", "DELETE") else {"json": bodies.get(path, {})}
    answer = api.request(method, f"/api/servers/{server}{path}", **options)
    if "%" in server:
        # Traefik refuses encoded slashes and NULs before EMCP is asked.
        assert answer.status_code in (400, 404)
    else:
        refused(answer, 404, "server_not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action": ""}, "unknown_action"),
        ({"action": None}, "invalid_json"),
        ({}, "invalid_json"),
    ],
    ids=["empty", "null", "missing"],
)
def test_an_unknown_action(api: Api, body: Json, code: str) -> None:
    answer = api.request("POST", f"/api/servers/{TAKEN}/action", json=body)
    refused(answer, 400, code)
    assert api.server(TAKEN)["status"] == "stopped"


@pytest.mark.parametrize("wait", ["soon", "-1", "1e9", ""])
def test_a_bad_wait(api: Api, wait: str) -> None:
    answer = api.request("POST", f"/api/servers/{TAKEN}/action", params={"wait": wait}, json={"action": "stop"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["request_id"]


@pytest.mark.parametrize(
    "limits",
    [{"memory_bytes": 1}, {"memory_bytes": -1}, {"cpus": 0}, {"pids": 0}, {"disk": 5}, {"memory_bytes": "much"}],
    ids=["tiny", "negative", "no-cpu", "no-pids", "unknown", "word"],
)
def test_bad_limits(api: Api, limits: Json) -> None:
    before = api.server(TAKEN)["limits"]
    answer = api.request("PATCH", f"/api/servers/{TAKEN}", json={"limits": limits})
    assert answer.status_code in (400, 422), answer.text
    assert api.server(TAKEN)["limits"] == before


def test_an_unknown_version(api: Api) -> None:
    for version in ("2", "0", "-1", "latest", "99999999999999999999"):
        answer = api.request("POST", f"/api/servers/{TAKEN}/versions/{version}/activate")
        assert answer.status_code in (404, 422), answer.text
        assert answer.json()["error"]["request_id"]


def test_an_unknown_path_and_a_wrong_method(api: Api) -> None:
    refused(api.request("GET", "/api/servers/x/y/z/nothing"), 404, "not_found")
    refused(api.request("DELETE", "/api/servers"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "role": "connect", "servers": None},
        {"name": "x", "role": "king", "servers": None},
        {"name": "x", "role": "connect", "servers": ["no-such-server"]},
        {"name": "x", "role": "connect", "servers": "taken-name"},
        {"name": "x", "role": "connect", "servers": None, "expires_at": "tomorrow"},
        {"name": "bad\nheader", "role": "connect", "servers": None},
    ],
    ids=["no-name", "role", "server", "type", "expiry", "newline"],
)
def test_a_bad_token(api: Api, body: Json) -> None:
    before = api.call("GET", "/api/tokens")
    answer = api.request("POST", "/api/tokens", json=body)
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.json()["error"]["request_id"]
    assert api.call("GET", "/api/tokens") == before
