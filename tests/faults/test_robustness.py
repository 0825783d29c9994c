"""Clients that are slow, many, broken or hostile: EMCP bounds them, goes on serving others, and does not die."""

import contextlib
import json
import random
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from harness import FaultPlatform, Sampler
from support.tiny import tiny_server
from support.waits import NotInTime, until

HEADER_TIMEOUT_SECS = 15.0
BODY_TIMEOUT_SECS = 60.0
BODIES_PER_ADDRESS = 64
# On a machine whose cores are busy with other things, a timer may fire late.
SLACK_SECS = 10.0
PROMPT_SECS = 3.0


@pytest.fixture(autouse=True)
def the_same_process_lives_on(platform: FaultPlatform, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever was done to EMCP, it is still the same process, unharmed, and panicked nowhere."""
    pid = platform.emcp_pid
    said_before = platform.emcp_log.stat().st_size
    yield
    assert platform.is_alive(), "emcp has ended"
    assert platform.emcp_pid == pid or request.node.get_closest_marker("restarts_emcp")
    with platform.direct() as http:
        assert http.get("/api/overview").is_success
    said = platform.emcp_log.read_bytes()[said_before:].decode(errors="replace")
    assert "panicked" not in said


BEGINNINGS = {
    "nothing": b"",
    "half a request line": b"GET /hea",
    "headers without end": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "half a preface of HTTP/2": b"PRI * HTTP/2.0\r\n",
    "HTTP/2 without settings": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def test_connections_that_never_finish_their_headers_are_closed(platform: FaultPlatform) -> None:
    with ExitStack() as stack:
        still_open = {what: stack.enter_context(_connect(platform.upstream_url)) for what in BEGINNINGS}
        for what, connection in still_open.items():
            connection.sendall(BEGINNINGS[what])

        def all_closed() -> bool:
            for what in [what for what, connection in still_open.items() if _is_closed(connection)]:
                del still_open[what]
            return not still_open

        with contextlib.suppress(NotInTime):
            until("them all to be closed", all_closed, HEADER_TIMEOUT_SECS + SLACK_SECS)
        assert not still_open.keys(), f"still open after {HEADER_TIMEOUT_SECS + SLACK_SECS} s"


def test_headers_that_trickle_do_not_extend_the_time(platform: FaultPlatform) -> None:
    """A timeout that starts anew with every byte would be none."""
    with _connect(platform.upstream_url) as connection:
        started = time.monotonic()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")

        def is_closed() -> bool:
            try:
                connection.sendall(b"X-Slow: yes\r\n")
            except (ConnectionResetError, BrokenPipeError):
                return True
            return _is_closed(connection)

        until("the trickling connection to be closed", is_closed, HEADER_TIMEOUT_SECS + SLACK_SECS)
    assert time.monotonic() - started > HEADER_TIMEOUT_SECS / 3, "it was closed for another reason than time"


@pytest.mark.alone
def test_two_hundred_slow_bodies_do_not_stop_others(platform: FaultPlatform) -> None:
    head = (
        "POST /api/servers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {platform.admin_token}\r\nContent-Length: 100000\r\n\r\n"
    ).encode()
    with _many_connections(platform.upstream_url, 200, head + b'{"name": "slow') as connections:
        _serves_others(platform)
        # Further ones of one address are told so at once.
        refused = [connection for connection in connections if _is_closed(connection)]
        assert len(refused) == 200 - BODIES_PER_ADDRESS


@pytest.mark.soak
def test_a_body_that_trickles_is_cut_and_says_why(platform: FaultPlatform) -> None:
    """Bytes that come one by one do not extend the time, and what was sent until then is not half taken."""
    name = f"trickled-{secrets.token_hex(2)}"
    body = json.dumps({"name": name, "code": "app = None", "start": False}).encode()
    head = (
        "POST /api/servers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {platform.admin_token}\r\nContent-Length: {len(body) + 10_000}\r\n\r\n"
    )
    with _connect(platform.upstream_url) as connection:
        connection.sendall(head.encode() + body)
        connection.setblocking(False)
        started = time.monotonic()

        def answer() -> bytes:
            with contextlib.suppress(BlockingIOError):
                return connection.recv(65536)
            connection.send(b" ")
            return b""

        said = until("an answer to the trickling body", answer, BODY_TIMEOUT_SECS + SLACK_SECS)
        took_secs = time.monotonic() - started
    assert said.startswith(b"HTTP/1.1 400 ") and b'"body_timeout"' in said, said
    assert took_secs > BODY_TIMEOUT_SECS - 1
    with platform.direct() as http:
        assert http.get(f"/api/servers/{name}").status_code == 404


@pytest.mark.alone
def test_five_hundred_idle_connections_do_not_stop_others(platform: FaultPlatform) -> None:
    keep_alive = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with _many_connections(platform.upstream_url, 500, keep_alive) as connections:
        for connection in connections:
            connection.settimeout(PROMPT_SECS * 5)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        _serves_others(platform)


@pytest.mark.alone
def test_five_hundred_silent_connections_through_traefik_do_not_stop_others(platform: FaultPlatform) -> None:
    with _many_connections(platform.public_url, 500, b""):
        with Sampler(platform.api.http, "/api/overview") as sampler:
            until("twenty answers", lambda: len(sampler.took_secs) >= 20 or sampler.failures, 30)
        _was_prompt(sampler)


@pytest.mark.parametrize("size", [20_000, 100_000, 1_000_000, 20_000_000])
def test_oversized_headers_are_refused(platform: FaultPlatform, size: int) -> None:
    request = b"GET /api/servers HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"a" * size + b"\r\n\r\n"
    status = _status_of(platform.upstream_url, request)
    # Within what hyper takes it is an ordinary request without a credential; the connection may also be closed.
    assert status in ((400, 401, 431) if size < 400_000 else (400, 413, 431, None))


def test_a_thousand_headers_are_refused(platform: FaultPlatform) -> None:
    headers = b"".join(b"X-%d: a\r\n" % number for number in range(1000))
    request = b"GET /api/servers HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n"
    assert _status_of(platform.upstream_url, request) in (400, 431, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/servers"),
        ("PUT", "/api/servers/{server}/env"),
        ("PATCH", "/api/servers/{server}"),
        ("POST", "/api/servers/{server}/action"),
        ("PUT", "/api/servers/{server}/code"),
        ("POST", "/api/tokens"),
        ("POST", "/api/session"),
    ],
)
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"env":['])
def test_deeply_nested_json_is_refused(platform: FaultPlatform, method: str, path: str, opening: str) -> None:
    server = _any_server(platform)
    with platform.direct() as http:
        response = http.request(
            method,
            path.format(server=server),
            content=opening * 10_000,
            headers={"Content-Type": "application/json"},
        )
    assert 400 <= response.status_code < 500, response.text
    assert response.json()["error"]["code"]


def test_garbage_bytes_are_answered_or_closed(platform: FaultPlatform) -> None:
    chance = random.Random(8)
    beginnings = [b"", b"GET / HTTP/1.1\r\n", b"POST /api/servers HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n"]
    beginnings += [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /api/\xff\xfe HTTP/1.1\r\n"]
    beginnings += [b"POST /api/servers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(
                lambda begin: _status_of(platform.upstream_url, begin, half_close=True),
                [chance.choice(beginnings) + chance.randbytes(chance.randrange(1, 2000)) for _ in range(300)],
            )
        )
    assert all(status is None or 200 <= status < 500 for status in statuses), statuses


def test_garbage_bodies_are_refused(platform: FaultPlatform) -> None:
    chance = random.Random(9)
    server = _any_server(platform)
    calls = [("POST", "/api/servers"), ("PUT", f"/api/servers/{server}/env"), ("PATCH", f"/api/servers/{server}")]
    calls += [("POST", "/api/tokens"), ("POST", "/api/session"), ("POST", f"/api/servers/{server}/action")]
    kinds = ["application/json", "multipart/form-data; boundary=x", "text/plain", "\u00e9", ""]
    with platform.direct() as http:
        for _ in range(200):
            method, path = chance.choice(calls)
            kind = chance.choice(kinds).encode()
            body = b"--x\r\n" * chance.randrange(2) + chance.randbytes(chance.randrange(500))
            response = http.request(method, path, content=body, headers={b"Content-Type": kind})
            assert 400 <= response.status_code < 500, f"{method} {path} as {kind!r}: {response.text}"
            assert response.json()["error"]["code"]


@pytest.mark.restarts_emcp
def test_a_caller_who_hangs_up_leaves_no_half_done_write(platform: FaultPlatform) -> None:
    """The connection is cut while the call is under way: memory and disk must agree on what came of it."""
    chance = random.Random(10)
    prefix = f"cut-{secrets.token_hex(2)}"
    victims = [f"{prefix}-victim-{number}" for number in range(30)]
    with platform.direct() as http:
        for name in victims:
            _created(http, name)

    def request(method: str, path: str, body: object = None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {platform.admin_token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def new(name: str) -> dict[str, object]:
        return {"name": name, "code": "app = None", "start": False}

    calls = [request("POST", "/api/servers", new(f"{prefix}-new-{number}")) for number in range(60)]
    calls += [request("DELETE", f"/api/servers/{name}") for name in victims[:15]]
    calls += [request("PATCH", f"/api/servers/{name}", {"description": "changed"}) for name in victims[15:]]
    chance.shuffle(calls)
    for call in calls:
        with _connect(platform.upstream_url) as connection:
            connection.sendall(call)
            # Between no time at all and longer than the call takes.
            time.sleep(chance.uniform(0, 0.02))

    def at_rest() -> bool:
        with platform.direct() as http:
            before = _shown(http, prefix)
            # Calls go on without their callers, and many wait for the disk.
            if not _no_change_is_under_way(platform):
                return False
            return before == _shown(http, prefix)

    until("the cut calls to come to rest", at_rest, 30)
    with platform.direct() as http:
        shown_before = _shown(http, prefix)
    platform.terminate_emcp()
    done = platform.check()
    platform.start_emcp()
    platform.wait_ready()
    with platform.direct() as http:
        shown_after = _shown(http, prefix)
    assert done.returncode == 0, done.stdout
    assert shown_before == shown_after, "EMCP showed something else than it had written"


def _no_change_is_under_way(platform: FaultPlatform) -> bool:
    metrics = httpx.get(f"{platform.internal_url}/metrics", trust_env=False).raise_for_status().text
    return "\nemcp_changes_under_way 0\n" in metrics


def _shown(http: httpx.Client, prefix: str) -> set[tuple[str, str, str]]:
    servers = http.get("/api/servers", params={"q": prefix}).raise_for_status().json()["servers"]
    return {(each["id"], each["name"], each["description"]) for each in servers}


def _created(http: httpx.Client, name: str) -> str:
    answer = http.post("/api/servers", json={"name": name, "code": tiny_server(name), "start": False})
    assert answer.status_code == 201, answer.text
    server_id: str = answer.json()["id"]
    return server_id


def _any_server(platform: FaultPlatform) -> str:
    with platform.direct() as http:
        if http.get("/api/servers/robust").status_code == 404:
            _created(http, "robust")
    return "robust"


def _serves_others(platform: FaultPlatform) -> None:
    with platform.direct() as http, Sampler(http, "/api/overview") as sampler:
        until("twenty answers", lambda: len(sampler.took_secs) >= 20 or sampler.failures, 30)
    _was_prompt(sampler)


def _was_prompt(sampler: Sampler) -> None:
    assert not sampler.failures, sampler.failures[:3]
    slowest = max(sampler.took_secs)
    assert slowest < PROMPT_SECS, f"the slowest of {len(sampler.took_secs)} answers took {slowest:.2f} s"


def _is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it; what it has said until now is thrown away."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def _connect(url: str) -> socket.socket:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert port is not None
    return socket.create_connection((host, port), timeout=10)


@contextmanager
def _many_connections(url: str, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = [stack.enter_context(_connect(url)) for _ in range(count)]
        for connection in connections:
            if begin:
                connection.sendall(begin)
        yield connections


def _status_of(url: str, request: bytes, half_close: bool = False) -> int | None:
    """The status of the answer to these bytes; None where the connection was closed without one."""
    with _connect(url) as connection:
        connection.settimeout(HEADER_TIMEOUT_SECS + SLACK_SECS)
        # A server that has seen enough answers and closes while there is more to send.
        sender = threading.Thread(target=_send_quietly, args=(connection, request, half_close), daemon=True)
        sender.start()
        answer = b""
        try:
            while b"\r\n" not in answer and (piece := connection.recv(4096)):
                answer += piece
        except ConnectionResetError:
            pass
        first = answer.split(b"\r\n")[0].split()
        return int(first[1]) if len(first) > 1 and first[0].startswith(b"HTTP/") else None


def _send_quietly(connection: socket.socket, content: bytes, half_close: bool) -> None:
    try:
        connection.sendall(content)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
    except (OSError, ssl.SSLError):
        pass  # Closed from the other side, which the reader sees.
