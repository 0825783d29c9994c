"""Logs where they are hard: floods, stuck viewers, broken bytes, endless lines, the death of EMCP in the middle.

A platform of its own with a tap between EMCP and the engine, so that what EMCP asks the engine for can be counted.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import settings
from support.api import Json
from support.docker import inspect
from support.logs import LogSocket, log_socket, narrow_log_socket
from support.owner import new_name
from support.running import Platform
from support.tap import EngineTap

SERVER = "talker"
# Prints what it is asked to: bytes as they are, a long line, or many numbered lines, with pauses if wanted.
TALKER = '''\
import os
import time
from urllib.parse import parse_qs


def write(data):
    while data:
        data = data[os.write(1, data):]


def talk(ask):
    if "hex" in ask:
        write(bytes.fromhex(ask["hex"][0]))
    if "repeat" in ask:
        write(ask["repeat"][0].encode() * int(ask["times"][0]) + b"\\n")
    if "secret_at" in ask:
        at = int(ask["secret_at"][0])
        write(b"x" * at + os.environ["PLANTED"].encode() + b"y" * 100_000 + b"\\n")
    if "flood" in ask:
        mark, count, at_once = ask["flood"][0], int(ask["count"][0]), int(ask["at_once"][0])
        for first in range(1, count + 1, at_once):
            write("".join(f"{mark} {n}{ask['end'][0]}\\n" for n in range(first, first + at_once)).encode())
            time.sleep(float(ask["pause"][0]))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    begin = time.monotonic()
    talk(parse_qs(scope["query_string"].decode()))
    took = str(time.monotonic() - begin).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": took})
'''
SECRET = "planted-" + "0123456789abcdef" * 4
PIECE_MAX_BYTES = 64 * 1024
# Far more than the kernel keeps for a viewer that does not read (tcp_wmem: 4 MiB).
LONG_END = "." * 400
# `make soak` takes 100,000.
FLOOD_LINES = int(os.environ.get("EMCP_FLOOD_LINES", "30000"))
VIEWERS = 20
# Twenty queues of such a flood would be 250 MB and more; one ring of 1 MiB is all there may be.
MEMORY_GROWTH_MAX_BYTES = 40 * 1024 * 1024
DISK_MAX_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def tap() -> Iterator[EngineTap]:
    with tempfile.TemporaryDirectory(prefix=new_name()) as directory:
        made = EngineTap(Path(directory) / "docker.sock", settings.docker_host())
        yield made
        made.close()


@pytest.fixture(scope="module")
def tapped(new_platform: Callable[..., Platform], tap: EngineTap) -> Platform:
    platform = new_platform(EMCP_DOCKER_HOST=tap.host)
    platform.api.create(SERVER, TALKER, entry_object="app")
    platform.api.set_env(SERVER, [{"key": "PLANTED", "value": SECRET, "is_secret": True}])
    platform.api.action(SERVER, "start", wait_secs=60)
    platform.api.wait_for(SERVER, "running")
    return platform


def say(platform: Platform, **what: str | int | float) -> float:
    """Have the server print something; how long that took it."""
    answer = platform.api.request("GET", f"/api/{SERVER}/", params=what)
    assert answer.status_code == 200, answer.text
    return float(answer.text)


def flood(
    platform: Platform, mark: str, count: int, at_once: int = 1000, pause_secs: float = 0, end: str = ";"
) -> float:
    """Numbered lines, with the same end each; how long printing them took the server."""
    return say(platform, flood=mark, count=count, at_once=at_once, pause=pause_secs, end=end)


def numbers(records: list[Json], mark: str) -> list[int]:
    """The numbers in the lines with this mark."""
    lines = (record["line"] for record in records)
    return [int(line.removeprefix(f"{mark} ").rstrip(";")) for line in lines if line.startswith(f"{mark} ")]


def newest(platform: Platform) -> int:
    """The number of the last record there is: the server says something, and it is waited for."""
    word = f"word-{time.monotonic_ns()}"
    with log_socket(platform.api, SERVER) as log:
        say(platform, repeat=word, times=1)
        return int(log.until_line(word)[-1]["seq"])


def test_bytes_that_are_no_text_are_shown_as_far_as_they_go(tapped: Platform) -> None:
    """Invalid UTF-8 is replaced; NUL, control characters and the escapes of colours stay what they are.

    As text for a terminal, colours are left out and the rest is spelled out.
    """
    last = newest(tapped)
    sent = b"a\x00b \xff\xfe \xe5\xa5 \x1b[1;31mred\x1b[0m \r tab\t \xf0\x9f\x91\x8b\n"
    garbage = bytes(range(256)).replace(b"\n", b"") * 40
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, hex=(sent + garbage + b"\nend of garbage\n").hex())
        records = log.until_line("end of garbage")
    # Docker's log writes one replacement for each wrong byte, Python one for several.
    assert [re.sub("\ufffd+", "\ufffd", record["line"]) for record in records] == [
        "a\x00b \ufffd \ufffd \x1b[1;31mred\x1b[0m \r tab\t \U0001f44b",
        re.sub("\ufffd+", "\ufffd", garbage.decode(errors="replace")),
        "end of garbage",
    ]
    text = tapped.api.log(SERVER, tail="3")
    assert " red \\u000d tab\t" in text and "\x1b" not in text


def test_a_line_of_a_megabyte_comes_whole_in_pieces(tapped: Platform) -> None:
    last = newest(tapped)
    # Without characters of several bytes: Docker itself breaks those where one of its pieces of 16 KiB ends.
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, repeat="0123456789", times=105_000)
        say(tapped, repeat="behind it", times=1)
        *pieces, behind = log.until_line("behind it")
    assert not any("skipped" in piece for piece in pieces)
    assert "".join(piece["line"] for piece in pieces) == "0123456789" * 105_000
    assert len(pieces) < 30, "a long line is cut into few pieces"
    assert all(len(piece["line"].encode()) <= PIECE_MAX_BYTES for piece in pieces)
    assert behind["line"] == "behind it"


@pytest.mark.parametrize("before_cut", [1, 20, len(SECRET) - 1])
def test_a_secret_is_hidden_where_a_long_line_is_cut(tapped: Platform, before_cut: int) -> None:
    last = newest(tapped)
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, secret_at=PIECE_MAX_BYTES - before_cut)
        say(tapped, repeat="behind it", times=1)
        text = "".join(record["line"] for record in log.until_line("behind it")[:-1])
    assert text == "x" * (PIECE_MAX_BYTES - before_cut) + "******" + "y" * 100_000


def test_a_viewer_that_comes_and_goes_in_a_flood_misses_nothing_and_sees_nothing_twice(tapped: Platform) -> None:
    count, last = 4_000, newest(tapped)
    seen: list[int] = []
    visits = 0
    with log_socket(tapped.api, SERVER) as other:
        flood(tapped, "come-and-go", count, at_once=10, pause_secs=0.001)
        while len(seen) < count:
            with log_socket(tapped.api, SERVER, f"?after={last}") as log:
                records = [log.next() for _ in range(min(333, count - len(seen)))]
            assert [record["seq"] for record in records] == list(range(last + 1, last + 1 + len(records)))
            last = records[-1]["seq"]
            seen += numbers(records, "come-and-go")
            visits += 1
        assert other.next()["seq"] > 0
    assert visits > 10
    assert seen == list(range(1, count + 1))


def test_stuck_viewers_cost_no_memory_slow_nothing_and_are_told_what_they_missed(
    tapped: Platform, tap: EngineTap
) -> None:
    container = tapped.container_of(SERVER)
    alone_secs = flood(tapped, "alone", FLOOD_LINES // 10, end=LONG_END) * 10
    last = newest(tapped)
    before = resident_bytes(tapped.emcp_pid)
    with ExitStack() as stack:
        query = f"?after={last}"
        stuck = [stack.enter_context(log_socket(tapped.api, SERVER, query))]
        while len(stuck) < VIEWERS:
            narrow = narrow_log_socket(tapped.api, tapped.upstream_url, SERVER, query)
            stuck.append(stack.enter_context(narrow))
        watched_secs = flood(tapped, "watched", FLOOD_LINES, end=LONG_END)
        # One that reads is not held up by those that do not.
        end = newest(tapped)
        assert tap.follows(container) == 1, "viewers share one stream from the engine"
        growth = resident_bytes(tapped.emcp_pid) - before
        assert growth < MEMORY_GROWTH_MAX_BYTES, f"EMCP grew by {growth / 2**20:.0f} MiB"
        # The first one had Traefik's buffers too, so it may have got more than what the others missed.
        # What is kept on disk (2 MiB twice) and by the kernel they still get; there is more than twice as much.
        for viewer in stuck[1:4]:
            assert caught_up(viewer, last, end) > (end - last) / 5
        caught_up(stuck[0], last, end)
    assert watched_secs < alone_secs * 3 + 1, f"the server was slowed from {alone_secs:.1f} to {watched_secs:.1f} s"


def caught_up(viewer: LogSocket, last: int, end: int) -> int:
    """Every record has the next number, or one says how many are skipped; how many were."""
    skipped = 0
    while last < end:
        record = viewer.next()
        if "skipped" in record:
            assert record["stream"] == "emcp" and f"{record['skipped']} lines skipped" in record["line"]
            assert record["seq"] == last + record["skipped"]
            skipped += record["skipped"]
        else:
            assert record["seq"] == last + 1
        last = record["seq"]
    return skipped


def test_a_log_goes_on_where_docker_stops_sending_it(tapped: Platform, tap: EngineTap) -> None:
    """Docker Engine 20.10 does that to one who is behind while it rotates a log, now and then: here, for certain."""
    # After much output EMCP looks soon.
    say(tapped, repeat="0123456789", times=30_000)
    last = newest(tapped)
    tap.silence(tapped.container_of(SERVER))
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, repeat="unheard", times=1)
        say(tapped, repeat="unheard too", times=1)
        records = log.until_line("unheard too")
        # All of it once, and it goes on.
        say(tapped, repeat="heard", times=1)
        records += log.until_line("heard")
    assert [record["line"] for record in records] == ["unheard", "unheard too", "heard"]


def test_the_last_words_are_heard_though_docker_did_not_send_them(tapped: Platform, tap: EngineTap) -> None:
    last = newest(tapped)
    tap.silence(tapped.container_of(SERVER))
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, repeat="last words", times=1)
        tapped.api.action(SERVER, "restart", wait_secs=60)
        tapped.api.wait_for(SERVER, "running")
        say(tapped, repeat="next run", times=1)
        lines = [record["line"] for record in log.until_line("next run")]
    assert lines.index("last words") < lines.index(f"--- run started, container {tapped.container_of(SERVER)[:12]} ---")


def test_what_is_kept_on_disk_is_bounded(tapped: Platform) -> None:
    for _ in range(3):
        say(tapped, repeat="a long line ", times=200_000)
    flood(tapped, "short lines", 5_000)
    newest(tapped)
    folder = tapped.data_dir / tapped.api.server(SERVER)["id"] / "logs"
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert 0 < sum(sizes.values()) <= DISK_MAX_BYTES, sizes
    log_path = inspect(tapped.container_of(SERVER))["HostConfig"]["LogConfig"]["Config"]
    assert log_path == {"max-size": "10m", "max-file": "2"}, "Docker's own copy is bounded too"


def test_a_marker_stands_between_two_runs(tapped: Platform) -> None:
    last = newest(tapped)
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        say(tapped, repeat="first run", times=1)
        tapped.api.action(SERVER, "restart", wait_secs=60)
        tapped.api.wait_for(SERVER, "running")
        say(tapped, repeat="second run", times=1)
        records = log.until_line("second run")
    container = tapped.container_of(SERVER)
    markers = [record for record in records if record["stream"] == "emcp"]
    assert [marker["line"] for marker in markers] == [f"--- run started, container {container[:12]} ---"]
    lines = [record["line"] for record in records]
    assert lines.index("first run") < lines.index(markers[0]["line"]) < lines.index("second run")


def test_a_flood_goes_on_through_the_death_of_emcp(tapped: Platform) -> None:
    """What the server says while EMCP is dead is taken in afterwards; what was taken in before is not again."""
    count, last = 3_000, newest(tapped)
    with ThreadPoolExecutor(1) as pool:
        # A request that is open goes on while the gate, without EMCP, lets nobody in.
        flooding = pool.submit(flood, tapped, "through", count, at_once=3, pause_secs=0.002)
        with log_socket(tapped.api, SERVER, f"?after={last}") as log:
            first = [log.next() for _ in range(200)]
        tapped.kill_emcp()
        tapped.start_emcp()
        tapped.wait_ready()
        flooding.result()
    last_word = newest(tapped)
    with log_socket(tapped.api, SERVER, f"?after={last}") as log:
        records = [log.next() for _ in range(last_word - last)]
    assert records[: len(first)] == first, "what was shown before stays as it was"
    assert [record["seq"] for record in records] == list(range(last + 1, last_word + 1))
    assert numbers(records, "through") == list(range(1, count + 1))
    assert not [record for record in records if record["stream"] == "emcp"], "it is still the same run"


def resident_bytes(pid: int) -> int:
    """What a process has in memory (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
