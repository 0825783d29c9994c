"""What one server and one person may have at most, told by those who tried for more; and an audit log that keeps
what others did while one floods it."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support import bundles
from support.api import Api, Json
from support.docker import docker
from support.running import Platform
from support.tiny import tiny_server
from support.waits import until

CALLERS = 24
MIB = 1024 * 1024
CODE = "mcp = None\n"


@pytest.fixture(scope="module")
def tight() -> Iterator[Platform]:
    """A platform whose bounds are quickly reached."""
    platform = Platform(
        EMCP_MAX_MEMORY="600m",
        EMCP_MAX_CPUS="2",
        EMCP_QUOTA_SERVERS="5",
        EMCP_QUOTA_MEMORY="1g",
        EMCP_QUOTA_STORAGE="64k",
        EMCP_QUOTA_TOKENS="4",
        EMCP_QUOTA_WRITES_PER_MINUTE="60",
        EMCP_AUDIT_MAX_ENTRIES="1000",
        EMCP_VERSIONS_KEPT="2",
        EMCP_VERSIONS_KEPT_DAYS="0",
    )
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture
def person(tight: Platform, request: pytest.FixtureRequest) -> Iterator[Callable[..., Api]]:
    """Makes developers, whose servers and tokens go with the test."""
    made: list[tuple[str, str]] = []

    def make(name: str, **quota: int) -> Api:
        body = {"name": name, "role": "developer", "quota": quota}
        token = tight.api.call("POST", "/api/tokens", json=body)
        made.append((name, token["id"]))
        return tight.api_as(token["token"])

    yield make
    names = {name for name, _ in made}
    for server in tight.api.servers():
        if server["creator"] in names:
            tight.api.delete(server["id"])
    for token in tight.api.call("GET", "/api/tokens")["tokens"]:
        if token["created_by"] in names or token["name"] in names:
            tight.api.call("DELETE", f"/api/tokens/{token['id']}")


def at_once(calls: list[Callable[[], httpx.Response]]) -> Counter[tuple[int, str | None]]:
    """Status and code of calls that begin together."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], httpx.Response]) -> tuple[int, str | None]:
        barrier.wait(30)
        answer = call()
        return answer.status_code, None if answer.is_success else answer.json()["error"]["code"]

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(one, calls))


def refusal(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    error: Json = answer.json()["error"]
    return error


def test_no_server_is_given_more_than_any_server_may_have(tight: Platform) -> None:
    body = {"name": "huge", "code": CODE, "start": False, "limits": {"memory_bytes": 1 << 40}}
    error = refusal(tight.api.request("POST", "/api/servers", json=body), 400)
    assert (error["code"], error["field"]) == ("limit_above_maximum", "limits")
    assert str(600 * MIB) in error["message"] and "EMCP_MAX_MEMORY" in error["message"]
    server = tight.api.create("modest", CODE)
    path = f"/api/servers/{server['id']}"
    for limits, setting in (({"cpus": 3}, "EMCP_MAX_CPUS"), ({"pids": 4097}, "EMCP_MAX_PIDS")):
        error = refusal(tight.api.request("PATCH", path, json={"limits": limits}), 400)
        assert error["code"] == "limit_above_maximum" and setting in error["message"]
    assert tight.api.call("PATCH", path, json={"limits": {"cpus": 2}})["limits"]["cpus"] == 2
    tight.api.delete("modest")


def test_without_a_setting_the_maximum_is_a_share_of_the_host(api: Api) -> None:
    host_memory = int(docker("info", "--format", "{{.MemTotal}}"))
    maxima = until("the engine's answer", lambda: api.call("GET", "/api/usage")["maxima"], 30)
    assert maxima["memory_bytes"] == host_memory // 2
    body = {"name": "tebibyte", "code": CODE, "start": False, "limits": {"memory_bytes": 1 << 40}}
    assert refusal(api.request("POST", "/api/servers", json=body), 400)["code"] == "limit_above_maximum"


def test_callers_at_once_get_no_more_than_the_quota(person: Callable[..., Api]) -> None:
    ada = person("ada", writes_per_minute=1000)

    def create(number: int) -> Callable[[], httpx.Response]:
        body = {"name": f"adas-{number}", "code": CODE, "start": False}
        return lambda: ada.request("POST", "/api/servers", json=body)

    told = at_once([create(number) for number in range(CALLERS)])
    assert told == {(201, None): 5, (403, "quota_servers"): CALLERS - 5}
    error = refusal(create(99)(), 403)
    for part in ('"ada" has 5 of at most 5', "administrator", "EMCP_QUOTA_SERVERS"):
        assert part in error["message"]

    servers = [server["id"] for server in ada.servers() if server["creator"] == "ada"]

    def token(number: int) -> Callable[[], httpx.Response]:
        body = {"name": f"adas-client-{number}", "role": "connect", "servers": servers[:1]}
        return lambda: ada.request("POST", "/api/tokens", json=body)

    assert at_once([token(number) for number in range(CALLERS)]) == {(201, None): 4, (403, "quota_tokens"): CALLERS - 4}

    # 512 MiB each, of one GiB together. Held, so that no container is made for it.
    for server in servers:
        ada.call("PATCH", f"/api/servers/{server}", json={"hold": True})
    starts = [server for server in servers for _ in range(4)]

    def start(server: str) -> Callable[[], httpx.Response]:
        return lambda: ada.request("POST", f"/api/servers/{server}/action", json={"action": "restart"})

    told = at_once([start(server) for server in starts])
    assert told == {(202, None): 8, (403, "quota_memory"): 12}
    assert Counter(server["desired"] for server in ada.servers() if server["creator"] == "ada")["running"] == 2
    own = ada.call("GET", "/api/usage")["people"]
    assert [one["name"] for one in own] == ["ada"]
    assert own[0]["servers"] == {"used": 5, "limit": 5}
    assert own[0]["memory_bytes"] == {"used": 1024 * MIB, "limit": 1024 * MIB}
    assert own[0]["tokens"] == {"used": 4, "limit": 4}


def test_an_administrator_gives_a_person_more(tight: Platform, person: Callable[..., Api]) -> None:
    bob = person("bob", servers=1)
    bob.create("bobs-1", CODE)
    body = {"name": "bobs-2", "code": CODE, "start": False}
    assert refusal(bob.request("POST", "/api/servers", json=body), 403)["code"] == "quota_servers"
    token = next(one for one in tight.api.call("GET", "/api/tokens")["tokens"] if one["name"] == "bob")
    assert token["quota"] == {"servers": 1}
    path = f"/api/tokens/{token['id']}"
    assert refusal(bob.request("PATCH", path, json={"quota": {}}), 403)["code"] == "forbidden"
    assert tight.api.call("PATCH", path, json={"quota": {"servers": 2}})["quota"] == {"servers": 2}
    bob.call("POST", "/api/servers", json=body)
    people = {one["name"]: one for one in tight.api.call("GET", "/api/usage")["people"]}
    assert people["bob"]["servers"] == {"used": 2, "limit": 2}
    assert people["admin"]["exempt"] and people["admin"]["servers"]["limit"] is None
    wrong = tight.api.request("PATCH", path, json={"quota": {"writes_per_minute": 0}})
    assert refusal(wrong, 400)["code"] == "invalid_quota"
    viewer = tight.api.request("POST", "/api/tokens", json={"name": "vi", "role": "viewer", "quota": {"servers": 1}})
    assert refusal(viewer, 400)["code"] == "quota_not_for_role"


def test_what_a_person_stores_is_bounded_and_the_refused_upload_leaves_nothing(
    tight: Platform, person: Callable[..., Api]
) -> None:
    cat = person("cat")
    server = cat.create("cats", CODE)["id"]
    big = f"mcp = None\n#{'x' * 40 * 1024}\n"
    cat.call("PUT", f"/api/servers/{server}/code", content=big)
    error = refusal(cat.request("PUT", f"/api/servers/{server}/code", content=big), 403)
    assert error["code"] == "quota_storage" and "EMCP_QUOTA_STORAGE" in error["message"]
    refused = f"{big}# more"
    error = refusal(cat.request("PUT", f"/api/servers/{server}/code", content=refused), 403)
    assert error["code"] == "quota_storage"
    gone = bundles.folder_of(tight.data_dir, refused.encode())
    until("the refused file to go", lambda: not gone.exists(), 10)
    assert bundles.folder_of(tight.data_dir, big.encode()).is_dir()
    variables = [{"key": "A", "value": "x" * 30 * 1024}]
    answer = cat.request("PUT", f"/api/servers/{server}/env", json={"env": variables})
    assert refusal(answer, 403)["code"] == "quota_storage"
    # A member who adds to it is told whose quota it is; an administrator is not bound by it.
    dan = person("dan")
    cat.call("PATCH", f"/api/servers/{server}", json={"members": ["dan"]})
    assert '"cat"' in refusal(dan.request("PUT", f"/api/servers/{server}/code", content=big), 403)["message"]
    tight.api.call("PUT", f"/api/servers/{server}/code", content=big)


def test_changes_are_slowed_down_and_looking_and_deleting_are_not(person: Callable[..., Api]) -> None:
    eve = person("eve", writes_per_minute=10)
    path = f"/api/servers/{eve.create('eves', CODE)['id']}"
    change: Callable[[], httpx.Response] = lambda: eve.request("PATCH", path, json={"description": "x"})
    told = at_once([change] * CALLERS)
    # A drop is drained every six seconds.
    assert 9 <= told[200, None] <= 14, told
    answer = next(answer for answer in iter(change, None) if not answer.is_success)
    error = refusal(answer, 429)
    assert error["code"] == "too_many_writes" and "administrator" in error["message"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 7
    assert eve.server(path.rsplit("/", 1)[1])["description"] == "x"
    assert eve.call("GET", "/api/usage")["people"][0]["writes"]["limit_per_minute"] == 10
    eve.delete(path.rsplit("/", 1)[1])


def test_old_versions_go_with_their_files_and_say_so(tight: Platform) -> None:
    server = tight.api.create("old", CODE)["id"]
    path = f"/api/servers/{server}"
    for number in range(2, 7):
        tight.api.call("PUT", f"{path}/code", content=f"mcp = {number}\n")
    kept = [version["number"] for version in tight.api.call("GET", f"{path}/versions")["versions"]]
    assert kept == [5, 6]
    folders = [bundles.folder_of(tight.data_dir, f"mcp = {number}\n".encode()) for number in range(2, 7)]
    until("the files of old versions to go", lambda: not any(folder.exists() for folder in folders[:3]), 10)
    assert all(folder.is_dir() for folder in folders[3:])
    for answer in (
        tight.api.request("GET", f"{path}/versions/1/code"),
        tight.api.request("POST", f"{path}/versions/1/activate"),
    ):
        error = refusal(answer, 404)
        assert error["code"] == "version_pruned" and "EMCP_VERSIONS_KEPT" in error["message"]
    assert refusal(tight.api.request("GET", f"{path}/versions/7/code"), 404)["code"] == "version_not_found"
    # What is in use stays, however old it is.
    tight.api.call("POST", f"{path}/versions/5/activate")
    versions = tight.api.call("GET", f"{path}/versions")["versions"]
    assert ["last_in_use_at" in version for version in versions] == [False, True]
    events = tight.api.call("GET", f"{path}/events")["events"]
    pruned = [event for event in events if event["code"] == "versions_pruned"]
    assert pruned and all("actor" not in event for event in pruned)
    tight.api.delete(server)


def test_a_server_above_the_maximum_of_today_is_capped_at_its_next_start_and_says_so(
    new_platform: Callable[..., Platform],
) -> None:
    platform = new_platform(EMCP_MAX_MEMORY="400m")
    name = platform.api.create("big", tiny_server(), entry_object="app", limits=json.dumps({"memory_bytes": 300 * MIB}))["name"]
    platform.stop_emcp()
    platform.environment["EMCP_MAX_MEMORY"] = "200m"
    platform.start_emcp()
    platform.wait_ready()
    server = platform.api.server(name)
    assert server["limits"]["memory_bytes"] == 300 * MIB
    assert server["limits_given"]["memory_bytes"] == 200 * MIB
    attention = platform.api.call("GET", "/api/overview")["attention"]
    assert [(one["server"]["name"], one["reason_code"]) for one in attention] == [("big", "limits_capped")]
    platform.api.action(name, "start")
    platform.api.wait_for(name, "running")
    given = docker("inspect", "--format", "{{.HostConfig.Memory}}", platform.container_of(name))
    assert int(given) == 200 * MIB
    # Its other settings can be changed all the same.
    assert platform.api.call("PATCH", f"/api/servers/{name}", json={"description": "x"})["description"] == "x"
    lower = platform.api.call("PATCH", f"/api/servers/{name}", json={"limits": {"memory_bytes": 128 * MIB}})
    assert "limits_given" not in lower


def test_a_flood_pushes_out_nobody_elses_lines(tight: Platform, person: Callable[..., Api]) -> None:
    """The log keeps 1,000 lines; one person leaves 1,200, no two of which say the same."""
    quiet = person("quiet")
    noisy = person("noisy", writes_per_minute=1_000_000)
    server = quiet.create("quiets", CODE)["id"]
    quiet.call("PATCH", f"/api/servers/{server}", json={"description": "mine"})
    pair = [noisy.create(f"noisys-{number}", CODE)["id"] for number in range(2)]

    def flood(number: int) -> None:
        for turn in range(50):
            path = f"/api/servers/{pair[(number + turn) % 2]}"
            noisy.call("PATCH", path, json={"description": str(turn)})

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(flood, range(CALLERS)))
    lines = tight.api.call("GET", "/api/audit", params={"actor": "quiet"})["entries"]
    assert [line["action"] for line in lines] == ["server.change", "server.create"]
    whole = exported(tight.api)
    assert len(whole) <= 1000
    # Every change counts, alone or in a line with others: none but the oldest of the flood itself are gone.
    changes = [line for line in whole if line.get("actor") == "noisy" and line["action"] == "server.change"]
    assert sum(line.get("count", 1) for line in changes) <= 1200
    assert max(line["id"] for line in changes) == max(line["id"] for line in whole)


def exported(api: Api, **params: Any) -> list[Json]:
    with api.http.stream("GET", "/api/audit", params={"format": "jsonl", **params}) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/jsonl"
        return [json.loads(line) for line in answer.iter_lines()]


def test_the_audit_log_is_exported_as_lines_of_json(tight: Platform) -> None:
    for number in range(3):
        tight.api.create(f"exported-{number}", CODE)
    whole = exported(tight.api, actor="admin")
    assert [line["id"] for line in whole] == sorted(line["id"] for line in whole)
    newest = tight.api.call("GET", "/api/audit", params={"limit": 3, "action": "server.create"})["entries"]
    assert [line for line in whole if line["action"] == "server.create"][-3:] == newest[::-1]
    # A collector goes on where it was.
    assert exported(tight.api, actor="admin", after=newest[2]["id"])[:2] == [
        line for line in whole if line["id"] > newest[2]["id"]
    ][:2]
    assert refusal(tight.api.request("GET", "/api/audit", params={"format": "csv"}), 400)["code"] == "invalid_query"
    for number in range(3):
        tight.api.delete(f"exported-{number}")


def test_the_audit_log_goes_to_syslog_and_emcp_never_waits_for_it(new_platform: Callable[..., Platform]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        platform = new_platform(EMCP_AUDIT_SYSLOG=f"tcp://127.0.0.1:{address[1]}")
        platform.api.create("logged", CODE)
        listener.settimeout(30)
        connection, _ = listener.accept()
        connection.settimeout(30)
        with connection, connection.makefile("rb") as frames:
            length = int(b"".join(iter(lambda: frames.read(1), b" ")))
            header, _, message = frames.read(length).decode().partition(" - ")
        assert header.startswith("<110>1 20") and header.endswith(" server.create")
        line = json.loads(message)
        assert (line["actor"], line["target"], line["result"]) == ("admin", "logged", "ok")
        kept = platform.api.call("GET", "/api/audit", params={"action": "server.create"})["entries"][0]
        assert line == kept

    # With the collector gone, EMCP serves as before, and says that it is.
    def notices() -> bool:
        platform.api.call("PATCH", "/api/servers/logged", json={"description": "x"})
        found = platform.api.call("GET", "/api/overview")["notices"]
        return "audit_syslog_failing" in [notice["code"] for notice in found]

    until("the notice", notices, 60)
    assert "emcp_audit_syslog_dropped_total" in httpx.get(f"{platform.internal_url}/metrics", trust_env=False).text
