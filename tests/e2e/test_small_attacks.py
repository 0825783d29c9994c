"""Attacks that each take one request or one line: names, clear text, terminals, proxies, unread bodies."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Api
from support.clients import bearer
from support.docker import inspect
from support.running import Platform
from support.streams import HttpSession
from support.waits import until

Json = dict[str, Any]

RESOLVER = """
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Resolver")

def name_of(address):
    try:
        name, aliases, _ = socket.gethostbyaddr(address)
        return [name, *aliases]
    except OSError:
        return []

@mcp.tool()
def names(addresses: list[str]) -> str:
    with ThreadPoolExecutor(32) as pool:
        return json.dumps(dict(zip(addresses, pool.map(name_of, addresses))))

@mcp.tool()
def addresses(names: list[str]) -> str:
    found = {}
    for name in names:
        try:
            found[name] = socket.gethostbyname(name)
        except OSError:
            pass
    return json.dumps(found)
"""
# Steers the terminal of whoever prints it: title, clipboard, a cleared screen, a question that is answered as if typed.
STEERING = ["\x1b]0;title\x07", "\x1b]52;c;cm0gLXJm\x07", "\x1b[2J", "\x1b[6n", "\x1bP+q\x1b\\", "\x9b2J", "seen\rhidden"]
TALKER = f"""
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Talker")
for steering in {STEERING!r}:
    print("before", steering, "after")
print("\\x1b[31mred\\x1b[0m", flush=True)
"""
FAILING = r'raise RuntimeError("\x1b]0;title\x07 \x9b2J")' + "\n"
# Answers by the headers alone and closes the connection, as one that is ending does.
UNREAD = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    if scope["path"].endswith("/fails"):
        raise RuntimeError("before it read")
    headers = [(b"content-length", b"5"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 409, "headers": headers})
    await send({"type": "http.response.body", "body": b"taken"})
"""


@pytest.fixture
def server(api: Api, request: pytest.FixtureRequest) -> Iterator[Callable[..., Json]]:
    """Makes servers that go with the test."""
    made: list[str] = []

    def make(name: str, code: str, **fields: str) -> Json:
        made.append(api.create(name, code, start="true", **fields)["id"])
        return api.wait_for(name, "running")

    yield make
    for server_id in made:
        api.delete(server_id)


def code_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    code: str = answer.json()["error"]["code"]
    return code


@pytest.mark.parametrize("name", ["EMCP", "emcp", " Emcp ", "connection test", "Connection Test", "connectiontest"])
def test_no_token_is_called_what_emcp_calls_itself(api: Api, name: str) -> None:
    answer = api.request("POST", "/api/tokens", json={"name": name, "role": "viewer"})
    assert code_of(answer, 400) == "reserved_token_name"


@pytest.mark.parametrize("name", ["connection  test", "connection\u00a0test", "connection\ttest", "ЕMCP"])
def test_no_token_looks_like_another(api: Api, name: str) -> None:
    answer = api.request("POST", "/api/tokens", json={"name": name, "role": "viewer"})
    assert code_of(answer, 400) == "invalid_token_name"


def test_no_new_server_has_a_name_that_reads_as_an_id(api: Api) -> None:
    own = api.create("not-an-id", "mcp = None\n")
    try:
        for name in (own["id"], own["id"].replace("-", ""), str(uuid.uuid4())):
            answer = api.request("POST", "/api/servers", json={"name": name, "code": "mcp = None\n"})
            assert code_of(answer, 400) == "name_like_id", name
            assert api.call("GET", f"/api/names/{name}")["code"] == "name_like_id"
    finally:
        api.delete("not-an-id")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/api/demo/sse?key=T", {}),
        ("POST", "/api/demo/mcp?a=1&k%65y=T", {}),
        ("GET", "/?key", {}),
        ("GET", "/api/servers", {"Authorization": "Bearer T"}),
        ("POST", "/api/demo/mcp", {"X-Api-Key": "T"}),
        ("POST", "/api/session", {}),
    ],
)
def test_a_token_over_plain_http_is_refused_and_not_redirected(
    platform: Platform, method: str, path: str, headers: dict[str, str]
) -> None:
    url = f"{platform.http_url}{path}"
    content = b"x" * 100_000 if method == "POST" else None
    answer = httpx.request(method, url, headers=headers, content=content, verify=TRUSTS_NOBODY, trust_env=False)
    assert code_of(answer, 400) == "token_in_clear_text"
    assert "location" not in answer.headers
    assert platform.public_url in answer.json()["error"]["message"]


def test_a_log_as_text_steers_no_terminal(api: Api, server: Callable[..., Json]) -> None:
    server("talker-of-escapes", TALKER)
    text = until("the output", lambda: log if "\nred\n" in (log := api.log("talker-of-escapes")) else None, 30)
    assert not [c for c in text if c != "\n" and c != "\t" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert text.count("before") == text.count("after") == len(STEERING), "no line was lost"
    assert "\\u001b]52;c;" in text
    assert "\nred\n" in text, "colours are left out"


def test_emcps_own_log_steers_no_terminal(platform: Platform, api: Api) -> None:
    created = api.create("fails-with-escapes", FAILING, start="true")
    try:
        api.wait_for("fails-with-escapes", "error")
        log = until(
            "the failure to be logged",
            lambda: text if created["id"] in (text := platform.emcp_log.read_text()) and "RuntimeError" in text else None,
            30,
        )
        assert not [c for c in log if c != "\n" and c != "\t" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    finally:
        api.delete("fails-with-escapes")


def test_a_server_learns_no_other_servers_name(platform: Platform, api: Api, server: Callable[..., Json]) -> None:
    """By Docker's resolver, which knows every container of the network."""
    victim = server("secret-project-x", RESOLVER)
    server("curious", RESOLVER)
    container = inspect(victim["container_id"])
    assert container["Config"]["Labels"]["emcp.name"] == "secret-project-x"
    subnet = [str(address) for address in IPv4Network(platform.network.subnet).hosts()]
    guesses = ["secret-project-x", f"{platform.instance}-secret-project-x", victim["id"], f"emcp-{victim['id']}"]
    with HttpSession(api, "curious", bearer(platform.admin_token)) as session:
        found = json.loads(session.call_tool("names", {"addresses": subnet}))
        assert json.loads(session.call_tool("addresses", {"names": guesses})) == {}
    victims = found[victim["address"].split(":")[0]]
    assert victims, "the resolver was not asked"
    told = json.dumps(found)
    assert "secret" not in told and "project" not in told and victim["id"][-8:] not in told


def test_a_proxys_password_stays_with_emcp(new_platform: Callable[..., Platform]) -> None:
    # Not for HTTP: Traefik, which has the same environment here, would use it.
    platform = new_platform(HTTPS_PROXY="http://ann:hunter2hunter2@proxy.example:3128", NO_PROXY="localhost")
    platform.api.create("proxied", RESOLVER, start="true")
    environment = inspect(platform.api.wait_for("proxied", "running")["container_id"])["Config"]["Env"]
    assert "HTTPS_PROXY=http://proxy.example:3128" in environment
    assert "hunter2" not in str(environment)
    platform.stop_emcp()
    log = platform.emcp_log.read_text()
    assert log.count("without its user name and password") == 1 and "hunter2" not in log
    # An operator may give servers one of their own.
    platform.environment |= {"EMCP_SERVERS_HTTPS_PROXY": "http://servers:pw@proxy.example:1", "EMCP_SERVERS_NO_PROXY": "off"}
    platform.start_emcp()
    platform.wait_ready()
    platform.api.action("proxied", "restart", wait_secs=60)
    environment = inspect(platform.api.wait_for("proxied", "running")["container_id"])["Config"]["Env"]
    assert "HTTPS_PROXY=http://servers:pw@proxy.example:1" in environment
    assert {"NO_PROXY=", "no_proxy="} <= set(environment)


@pytest.mark.parametrize(("path", "status"), [("closes", 409), ("fails", 500)])
def test_an_answer_before_the_body_was_read_arrives(
    api: Api, admin_headers: dict[str, str], server: Callable[..., Json], path: str, status: int
) -> None:
    server("unread", UNREAD, entry_object="app")
    with httpx.Client(base_url=api.public_url, verify=api.tls, timeout=60, trust_env=False) as http:

        def call(size: int) -> int:
            return http.post(f"/api/unread/{path}", content=b"x" * size, headers=admin_headers).status_code

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(call, [100_000] * 300 + [4_000_000] * 10))
    assert set(answers) == {status}
