"""A server's log: history and then live over a WebSocket, resumed without a gap, and as plain text."""

import re
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from support.api import Api, Json
from support.clients import bearer
from support.docker import docker
from support.logs import LINE_DEADLINE_SECS, log_socket
from support.running import Platform
from support.streams import HttpSession
from support.waits import until

TALKER = '''\
import sys

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Talker")
for number in range(1, 6):
    print(f"loading {number}")
print("to the error stream", file=sys.stderr)


@mcp.tool()
def say(text: str, times: int = 1) -> str:
    """Print a text."""
    for _ in range(times):
        print(text)
    return "said"
'''


@pytest.fixture(scope="module")
def talker(api: Api) -> Iterator[Json]:
    server = api.create("talker", TALKER, start="true")
    yield api.wait_for(server["id"], "running")
    api.delete("talker")


@pytest.fixture(scope="module")
def session(api: Api, talker: Json, admin_headers: dict[str, str]) -> Iterator[HttpSession]:
    with HttpSession(api, "talker", admin_headers) as session:
        yield session


def test_history_comes_first_and_then_what_is_said_now(api: Api, session: HttpSession) -> None:
    with log_socket(api, "talker") as log:
        history = log.until_line("loading 5")
        assert [record["line"] for record in history if record["line"].startswith("loading")] == [
            f"loading {number}" for number in range(1, 6)
        ]
        session.call_tool("say", {"text": "live: 你好 👋"})
        live = log.until_line("live: 你好 👋")
    records = history + live
    numbers = [record["seq"] for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "numbers rise without a gap"
    # And `instance`, where another one begins to write.
    assert all(record.keys() - {"instance"} == {"ts", "stream", "line", "seq"} for record in records)
    assert live[-1]["stream"] == "stdout"
    assert next(record for record in records if record["line"] == "to the error stream")["stream"] == "stderr"


def test_a_viewer_that_comes_back_misses_nothing_and_sees_nothing_twice(api: Api, session: HttpSession) -> None:
    session.call_tool("say", {"text": "before the break"})
    with log_socket(api, "talker") as log:
        last = log.until_line("before the break")[-1]["seq"]
    session.call_tool("say", {"text": "during the break", "times": 3})
    with log_socket(api, "talker", f"?after={last}") as log:
        session.call_tool("say", {"text": "after the break"})
        records = log.until_line("after the break")
    assert [record["seq"] for record in records] == list(range(last + 1, last + 1 + len(records)))
    assert [record["line"] for record in records].count("during the break") == 3


def test_two_viewers_see_the_same(api: Api, session: HttpSession) -> None:
    with log_socket(api, "talker") as one, log_socket(api, "talker") as other:
        session.call_tool("say", {"text": "to both"})
        assert one.until_line("to both")[-1] == other.until_line("to both")[-1]


def test_plain_text_for_those_who_want_no_socket(api: Api, session: HttpSession) -> None:
    # Lines of the SDK on the other stream may come in between: Docker keeps the order within a stream only.
    session.call_tool("say", {"text": "plain line", "times": 3})
    until("the lines to be kept", lambda: api.log("talker", tail="20").count("plain line") == 3, LINE_DEADLINE_SECS)
    assert len(api.log("talker", tail="2").splitlines()) == 2
    assert "loading 1" in api.log("talker")


def test_plain_text_since_a_time(api: Api, session: HttpSession) -> None:
    session.call_tool("say", {"text": "an old line"})
    with log_socket(api, "talker") as log:
        old = log.until_line("an old line")[-1]
        session.call_tool("say", {"text": "a newer line"})
        newer = log.until_line("a newer line")[-1]
    text = api.log("talker", since=newer["ts"])
    assert "a newer line" in text
    assert old["ts"] < newer["ts"]
    assert "an old line" not in text


def test_a_flood_is_kept_in_order(api: Api, session: HttpSession) -> None:
    """Fast output is bounded, numbered and in order; the newest lines are the ones that stay."""
    with log_socket(api, "talker", "?after=0") as log:
        session.call_tool("say", {"text": "flood", "times": 20_000})
        session.call_tool("say", {"text": "the flood is over"})
        records = log.until_line("the flood is over")
    numbers = [record["seq"] for record in records]
    assert numbers == sorted(set(numbers))
    assert "the flood is over" in api.log("talker", tail="10")


@pytest.fixture(scope="module")
def long_log(api: Api, session: HttpSession) -> str:
    """More lines than EMCP has in memory; the first of them."""
    session.call_tool("say", {"text": "the oldest of many"})
    session.call_tool("say", {"text": "one of many", "times": 8_000})
    session.call_tool("say", {"text": "the newest of many"})
    newest = {"format": "json", "grep": "the newest of many"}
    until("the lines to be kept", lambda: pages(api, newest)[0]["records"], LINE_DEADLINE_SECS)
    return "the oldest of many"


def pages(api: Api, query: dict[str, str]) -> list[Json]:
    """All pages that fit, newest first."""
    found: list[Json] = []
    before: dict[str, str] = {}
    while True:
        page = api.call("GET", "/api/servers/talker/logs", params={**query, **before})
        found.append(page)
        if page["next"] is None:
            return found
        before = {"before": str(page["next"])}


def test_text_has_all_lines_that_are_on_disk(api: Api, long_log: str) -> None:
    text = api.log("talker", tail="1000000").splitlines()
    assert long_log in text
    assert text.count("one of many") == 8_000
    # Where lines are left out that nobody asked away, it is said.
    notice, *lines = api.log("talker").splitlines()
    assert re.fullmatch(r"--- \d+ earlier lines are left out: \?tail= takes more ---", notice)
    assert len(lines) == 1000
    assert len(api.log("talker", tail="2").splitlines()) == 2


def test_pages_lead_from_the_newest_line_to_the_oldest(api: Api, long_log: str) -> None:
    found = pages(api, {"format": "json", "limit": "1000"})
    assert len(found) > 8
    numbers = [record["seq"] for page in reversed(found) for record in page["records"]]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert all(page["oldest"]["seq"] == 1 for page in found)


def test_a_search_looks_at_all_that_is_kept(api: Api, long_log: str) -> None:
    (page,) = pages(api, {"format": "json", "grep": long_log.upper()})
    assert [record["line"] for record in page["records"]] == [long_log]
    found = page["records"][0]
    assert api.log("talker", grep=long_log).splitlines() == [long_log]
    (stamped,) = api.log("talker", grep=long_log, timestamps="true").splitlines()
    assert stamped == f"{found['ts']} stdout {long_log}"
    upto = api.log("talker", tail="1000000", until=found["ts"]).splitlines()
    assert upto[-1] == long_log and "one of many" not in upto
    errors = [record for page in pages(api, {"format": "json", "stream": "stderr"}) for record in page["records"]]
    assert {record["stream"] for record in errors} == {"stderr", "emcp"}
    assert api.log("talker", grep="in no line at all") == ""


def test_a_viewer_that_was_away_for_long_gets_what_is_on_disk(api: Api, session: HttpSession, long_log: str) -> None:
    (page,) = pages(api, {"format": "json", "grep": long_log})
    first = page["records"][0]["seq"]
    with log_socket(api, "talker", f"?after={first}") as log:
        records = log.until_line("the newest of many")
        session.call_tool("say", {"text": "live again"})
        records += log.until_line("live again")
    assert [record["seq"] for record in records] == list(range(first + 1, first + 1 + len(records)))
    assert not any("skipped" in record for record in records)


def test_a_stranger_sees_no_log(platform: Platform, api: Api, talker: Json) -> None:
    refused: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        (bearer("wrong"), 401),
        (bearer(api.connect_token("not a viewer", ["talker"])), 403),
        ({"Cookie": session_cookie(platform), "Origin": "https://evil.example"}, 403),
        ({"Cookie": session_cookie(platform)}, 403),
    ]
    for headers, status in refused:
        assert handshake_status(api, headers) == status, headers
    # The same handshake of one who may.
    assert handshake_status(api, bearer(platform.admin_token)) == 101


def test_who_is_no_longer_let_in_sees_no_further_line(platform: Platform, api: Api, session: HttpSession) -> None:
    made = api.call("POST", "/api/tokens", json={"name": "for a while", "role": "viewer"})
    signed_in = platform.api_as(None)
    cookies = signed_in.request("POST", "/api/session", json={"token": made["token"]}).cookies
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    browser = {"Cookie": cookie, "Origin": platform.public_url}
    with (
        log_socket(api, "talker", headers=bearer(made["token"])) as by_token,
        log_socket(api, "talker", headers=browser) as by_session,
    ):
        session.call_tool("say", {"text": "while it lasts"})
        for log in (by_token, by_session):
            log.until_line("while it lasts")
        api.call("DELETE", f"/api/tokens/{made['id']}")
        session.call_tool("say", {"text": "after the end"})
        for log in (by_token, by_session):
            with pytest.raises(ConnectionClosed) as closed:
                log.until_line("after the end")
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    assert handshake_status(api, browser) == 401


def test_the_dashboard_sees_the_log_with_its_cookie(platform: Platform, api: Api, session: HttpSession) -> None:
    with log_socket(api, "talker", headers={"Cookie": session_cookie(platform), "Origin": platform.public_url}) as log:
        session.call_tool("say", {"text": "to the dashboard"})
        log.until_line("to the dashboard")


BAD_QUERIES = [
    "?tail=many", "?tail=-1", "?since=yesterday", "?until=never", "?stream=both", "?format=xml", "?timestamps=maybe",
    "?format=json&limit=0", "?format=json&limit=1001", "?before=first", f"?grep={'x' * 1001}",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_question_is_refused(api: Api, talker: Json, query: str) -> None:
    answer = api.request("GET", f"/api/servers/talker/logs{query}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["request_id"]


def test_the_log_outlives_the_container(api: Api, session: HttpSession, talker: Json) -> None:
    session.call_tool("say", {"text": "remember me"})
    api.action("talker", "restart", wait_secs=60)
    server = api.wait_for("talker", "running")
    assert server["container_id"] != talker["container_id"]
    assert talker["container_id"] not in docker("ps", "--all", "--quiet", "--no-trunc")

    def both_runs() -> bool:
        log = api.log("talker", tail="100")
        return "remember me" in log and "loading 5" in log.partition("remember me")[2]

    until("the log to hold both runs in their order", both_runs, LINE_DEADLINE_SECS)


def session_cookie(platform: Platform) -> str:
    """What a browser sends after the dashboard's login."""
    answer = platform.api_as(None).request("POST", "/api/session", json={"token": platform.admin_token})
    assert answer.is_success, answer.text
    return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


def handshake_status(api: Api, headers: dict[str, str]) -> int:
    """The answer to the opening handshake of a WebSocket (RFC 6455 §4.1)."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    url = f"{api.public_url}/api/servers/talker/logs"
    with (
        httpx.Client(verify=api.tls, trust_env=False, timeout=10) as http,
        http.stream("GET", url, headers={**handshake, **headers}) as response,
    ):
        return response.status_code
