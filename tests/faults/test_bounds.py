"""Nobody makes EMCP or Traefik grow: not a server by what it tells, not a stranger by what is sent or left unsent."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from attack import LARGE_BYTES, LONG, SHORT, Attack, Plan, Target, growth_below, peak_mb
from harness import FaultPlatform, Sampler
from hostile import create_hostile
from load import SERVER, Load
from support.api import TRUSTS_NOBODY
from support.streams import STREAM_HEADERS
from support.tiny import tiny_server
from support.waits import until

EMCP_MAX_MB = 100.0
TRAEFIK_MAX_MB = 300.0
# What one attempt may take for an instant: the allowance, its parsed form, and the answer.
GROWTH_MAX_MB = 40.0
PROMPT_SECS = 5.0
ELSEWHERE = "127.0.1.99"
SHORT_ATTEMPTS = 200
LONG_ATTEMPTS = 5_000
ATTACK_DEADLINE_SECS = 240.0
HANGS = "import time\n\ntime.sleep(3600)\n"


@pytest.fixture
def hostile(platform: FaultPlatform) -> Iterator[Callable[[str], str]]:
    """Starts a hostile server in a mode; its name."""
    names: list[str] = []

    def start(mode: str) -> str:
        name: str = create_hostile(platform, mode)["name"]
        names.append(name)
        platform.api.wait_for(name, "running")
        return name

    yield start
    for name in names:
        platform.api.delete(name)


@pytest.mark.parametrize(
    ("mode", "code"), [("pages", "too_many_pages"), ("items", "too_many_items"), ("large", "too_large")]
)
def test_an_endless_list_is_cut_and_says_so(
    platform: FaultPlatform, hostile: Callable[[str], str], mode: str, code: str
) -> None:
    name = hostile(mode)
    with growth_below(platform.emcp_pid, GROWTH_MAX_MB):
        offer = platform.api.call("GET", f"/api/servers/{name}/tools")
        tested = platform.api.call("POST", f"/api/servers/{name}/test")
    assert offer["truncated"] == [{"list": "tools", "code": code}]
    assert 1 <= len(offer["tools"]) <= 1_000
    assert tested["steps"][-1]["detail_code"] == "tools_listed_in_part", tested["steps"][-1]


@pytest.mark.parametrize("mode", ["page", "structure", "event", "events"])
def test_an_endless_answer_is_not_read(
    platform: FaultPlatform, hostile: Callable[[str], str], mode: str
) -> None:
    name = hostile(mode)
    with growth_below(platform.emcp_pid, GROWTH_MAX_MB):
        answer = platform.api.request("GET", f"/api/servers/{name}/tools")
    assert answer.status_code == 502, answer.text[:500]
    assert answer.json()["error"]["code"] == "answer_too_large"


def test_an_endless_result_of_a_tool_is_not_read(platform: FaultPlatform, hostile: Callable[[str], str]) -> None:
    name = hostile("call")
    with growth_below(platform.emcp_pid, GROWTH_MAX_MB):
        answer = platform.api.request("POST", f"/api/servers/{name}/tools/call", json={"name": "tool-0"})
    assert answer.status_code == 502, answer.text[:500]
    assert answer.json()["error"]["code"] == "answer_too_large"


def test_an_endless_page_during_the_start_is_not_read(new_platform: Callable[..., FaultPlatform]) -> None:
    """EMCP asks again and again until the start has taken too long."""
    platform = new_platform(EMCP_START_TIMEOUT_SECS="5")
    platform.start()
    with growth_below(platform.emcp_pid, GROWTH_MAX_MB):
        names = [create_hostile(platform, mode)["name"] for mode in ("health", "initialize")]
        failed = [platform.api.wait_for(name, "error") for name in names]
    assert [server["last_error"]["code"] for server in failed] == ["start_timeout", "start_timeout"]


def test_only_so_many_trials_run_at_once(platform: FaultPlatform) -> None:
    code = SERVER + "\n\n@mcp.tool()\nasync def wait() -> str:\n    await asyncio.sleep(5)\n    return 'done'\n"
    platform.api.call("POST", "/api/servers", json={"name": "waits", "code": code, "start": True})
    platform.api.wait_for("waits", "running")
    answers: list[httpx.Response] = []

    def call() -> None:
        with platform.direct(60) as http:
            answers.append(http.post("/api/servers/waits/tools/call", json={"name": "wait"}))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 429, 429, 429]
    assert {answer.json()["error"]["code"] for answer in refused} == {"too_many_trials"}
    assert all(answer.headers["Retry-After"] for answer in refused)
    platform.api.delete("waits")


def test_a_sign_in_has_four_kib(platform: FaultPlatform) -> None:
    body = {"token": "x" * 5_000}
    answer = platform.api_as(None).request("POST", "/api/session", json=body)
    assert answer.status_code == 413, answer.text
    assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/servers"),
        ("PUT", "/api/servers/x/code"),
        ("PUT", "/api/servers/x/env"),
        ("PATCH", "/api/servers/x"),
        ("POST", "/api/servers/x/action"),
        ("POST", "/api/servers/x/tools/call"),
        ("POST", "/api/check"),
        ("POST", "/api/tokens"),
    ],
)
def test_who_shows_no_credential_is_refused_before_the_body_is_there(
    platform: FaultPlatform, method: str, path: str
) -> None:
    with _request(platform.upstream_url, method, path, 1_000_000) as connection:
        connection.sendall(b"{")
        assert connection.recv(15) == b"HTTP/1.1 401 Un"


def test_the_bodies_of_one_address_are_bounded(platform: FaultPlatform) -> None:
    """Eight sign-ins may be on their way from one address; the ninth is told, and another address is not."""
    with ExitStack() as stack:
        sign_ins = [
            stack.enter_context(_request(platform.upstream_url, "POST", "/api/session", 100, ELSEWHERE))
            for _ in range(9)
        ]
        for each in sign_ins:
            each.sendall(b"{")
        answered = until("one to be answered", lambda: [each for each in sign_ins if _has_something(each)], PROMPT_SECS)
        assert len(answered) == 1 and b"too_many_bodies" in _all(answered[0])
        answer = platform.api_as(None).request("POST", "/api/session", json={"token": "wrong"})
        assert answer.status_code == 401


def test_a_viewers_message_is_not_kept(platform: FaultPlatform) -> None:
    platform.api.call("POST", "/api/servers", json={"name": "viewed", "code": tiny_server(), "start": False})
    plan = Plan("unfinished_messages", "127.0.1.6", 5)
    target = _target(platform, ("viewed",), platform.admin_token)
    with growth_below(platform.emcp_pid, GROWTH_MAX_MB), Attack(target, (plan,)) as attack:
        until("the viewers to be cut off", lambda: _attempts(attack) > 20, ATTACK_DEADLINE_SECS)
    platform.api.delete("viewed")


def test_an_address_around_traefik_gets_a_part_of_the_connections(platform: FaultPlatform) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(_connect(platform.upstream_url, ELSEWHERE)) for _ in range(80)]

        def closed() -> int:
            return sum(1 for connection in connections if _has_ended(connection))

        until("the 65th to be closed", lambda: closed() == 80 - 64, PROMPT_SECS)
        answer = httpx.get(f"{platform.upstream_url}/healthz", verify=TRUSTS_NOBODY, trust_env=False)
        assert answer.is_success


def test_headers_have_a_size(platform: FaultPlatform) -> None:
    with _connect(platform.upstream_url) as connection:
        with suppress(OSError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Big: " + b"a" * 300_000)
        assert b" 431 " in _all(connection)[:20]


def test_a_large_call_without_a_token_is_refused_before_it_is_read(platform: FaultPlatform) -> None:
    platform.api.call("POST", "/api/servers", json={"name": "gated", "code": tiny_server(), "start": False})
    until("its route", lambda: _gate_answers(platform, "gated"), 30)
    tls = platform.api.tls
    with _connect(platform.public_url) as plain, tls.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(_head(platform.public_url, "POST", "/api/gated/mcp", LARGE_BYTES) + b"{")
        assert connection.recv(15) == b"HTTP/1.1 401 Un"
    platform.api.delete("gated")


def test_what_is_too_large_for_any_server_is_told_as_json(platform: FaultPlatform) -> None:
    platform.api.call("POST", "/api/servers", json={"name": "gated", "code": tiny_server(), "start": False})
    until("its route", lambda: _gate_answers(platform, "gated"), 30)
    tls = platform.api.tls
    head = _head(platform.public_url, "POST", "/api/gated/mcp", 8_000_001, platform.admin_token)
    with _connect(platform.public_url) as plain, tls.wrap_socket(plain, server_hostname="localhost") as connection:
        # Read to its end first: an answer in the middle would be lost with the connection.
        connection.sendall(head + b"x" * 8_000_001)
        said = connection.recv(65536)
    assert said.startswith(b"HTTP/1.1 413 ") and b'"too_large"' in said, said
    platform.api.delete("gated")


def test_one_server_that_hangs_does_not_take_all_places_at_the_gate(platform: FaultPlatform) -> None:
    platform.api.call("POST", "/api/servers", json={"name": "calls", "code": SERVER, "start": True})
    platform.api.wait_for("calls", "running")
    statuses: list[tuple[int, str]] = []

    def knock() -> None:
        with httpx.Client(trust_env=False, timeout=60) as http:
            uri = {"X-Forwarded-Uri": "/api/hangs/mcp", "Authorization": f"Bearer {platform.admin_token}"}
            answer = http.get(f"{platform.internal_url}/gate", params=query, headers=uri)
            statuses.append((answer.status_code, answer.json()["error"]["code"]))

    platform.api.call("POST", "/api/servers", json={"name": "hangs", "code": HANGS, "start": True})
    query = _gate_query(platform, "hangs")
    threads = [threading.Thread(target=knock) for _ in range(140)]
    for thread in threads:
        thread.start()
    until("twelve to be turned away", lambda: len(statuses) >= 12, 20)
    assert set(statuses) == {(503, "too_many_waiting")}
    token = platform.api.connect_token("calls-beside", ["calls"])
    with Load(platform.api, "calls", token) as load:
        load.wait_for_calls(20)
    assert not load.failures(), load.failures()[:3]
    for name in ("hangs", "calls"):
        platform.api.delete(name)
    for thread in threads:
        thread.join()


def test_requests_of_one_address_under_way_are_bounded(new_platform: Callable[..., FaultPlatform]) -> None:
    """At Traefik; and by EMCP itself, where Traefik is not in between."""
    platform = new_platform(EMCP_REQUESTS_PER_ADDRESS="16")
    platform.start()
    for url in (platform.public_url, platform.upstream_url):
        with ExitStack() as stack:
            http = stack.enter_context(
                httpx.Client(
                    base_url=url,
                    verify=platform.api.tls if url.startswith("https") else TRUSTS_NOBODY,
                    headers={"Authorization": f"Bearer {platform.admin_token}"},
                    trust_env=False,
                )
            )
            for _ in range(16):
                stream = stack.enter_context(http.stream("GET", "/api/events/stream"))
                assert stream.status_code == 200
            answer = http.get("/api/overview")
            assert answer.status_code == 429
        until("the streams' places to be free again", lambda url=url: _overview_is_there(platform, url), 30)


@pytest.mark.parametrize(
    ("plans", "attempts"), [(SHORT, SHORT_ATTEMPTS), pytest.param(LONG, LONG_ATTEMPTS, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(900)
def test_all_attacks_at_once_while_others_call(
    new_platform: Callable[..., FaultPlatform], plans: tuple[Plan, ...], attempts: int
) -> None:
    platform = new_platform(EMCP_START_TIMEOUT_SECS="40", EMCP_WRONG_TOKENS_PER_MINUTE="10")
    platform.start()
    api = platform.api
    body = {"name": "mallory", "role": "developer"}
    mallory = api.call("POST", "/api/tokens", json=body)["token"]
    hostile = [create_hostile(platform, mode, mallory)["name"] for mode in ("pages", "page", "events", "call")]
    create_hostile(platform, "health", mallory)
    api.call("POST", "/api/servers", json={"name": "calls", "code": SERVER, "start": True})
    for name in (*hostile, "calls"):
        api.wait_for(name, "running")
    target = _target(platform, tuple(hostile), mallory)
    token = api.connect_token("innocent", ["calls"])
    with Load(api, "calls", token) as load, Sampler(api.http, "/api/overview") as sampler:
        load.wait_for_calls(20)
        with Attack(target, plans) as attack:
            until("every attacker to have tried", lambda: min(attack.done().values()) >= 5, ATTACK_DEADLINE_SECS)
            until("many attempts", lambda: _attempts(attack) >= attempts, ATTACK_DEADLINE_SECS)
            load.wait_for_calls(50)
            done = attack.done()
        load.wait_for_calls(20)
    emcp_mb, traefik_mb = peak_mb(platform.emcp_pid), peak_mb(platform.traefik_pid)
    print(f"EMCP {emcp_mb:.0f} MB, Traefik {traefik_mb:.0f} MB at most; {len(load.calls)} calls,"
          f" the longest {load.longest_secs():.1f} s; {len(sampler.took_secs)} overviews; attempts: {done}")
    assert not load.failures(), load.failures()[:3]
    assert not sampler.failures, sampler.failures[:3]
    assert platform.is_alive()
    assert emcp_mb < EMCP_MAX_MB, f"EMCP took {emcp_mb:.0f} MB"
    assert traefik_mb < TRAEFIK_MAX_MB, f"Traefik took {traefik_mb:.0f} MB"


def _target(platform: FaultPlatform, hostile: tuple[str, ...], token: str) -> Target:
    return Target(platform.public_url, platform.upstream_url, str(platform.ca_file), token, hostile, "calls")


def _attempts(attack: Attack) -> int:
    return sum(attack.done().values())


def _gate_query(platform: FaultPlatform, name: str) -> dict[str, str]:
    return platform.gate_query(platform.api.server(name)["id"])


def _gate_answers(platform: FaultPlatform, name: str) -> bool:
    """Without a token both the gate and EMCP's own page say 401; with one, only the gate knows a stopped server."""
    answer = platform.api.request("POST", f"/api/{name}/mcp", json={}, headers=STREAM_HEADERS)
    return answer.status_code == 503


def _overview_is_there(platform: FaultPlatform, url: str) -> bool:
    tls = platform.api.tls if url.startswith("https") else TRUSTS_NOBODY
    headers = {"Authorization": f"Bearer {platform.admin_token}"}
    return httpx.get(f"{url}/api/overview", headers=headers, verify=tls, trust_env=False).is_success


def _connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection(("127.0.0.1", address.port or 443), PROMPT_SECS, (source, 0))


def _head(url: str, method: str, path: str, length: int, token: str | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Content-Type: application/json"]
    lines += [f"Content-Length: {length}", *([f"Authorization: Bearer {token}"] if token else [])]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def _request(url: str, method: str, path: str, length: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A request whose body is still to come."""
    with _connect(url, source) as connection:
        connection.sendall(_head(url, method, path, length))
        yield connection


def _all(connection: socket.socket) -> bytes:
    """What is said until the end, or for as long as anything is."""
    said = b""
    with suppress(OSError):
        while piece := connection.recv(65536):
            said += piece
            if b"}}" in said:
                break
    return said


def _has_something(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def _has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
