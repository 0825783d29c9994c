"""Attacks from inside a server's container, on a platform that listens on every address, as in production.

What the network does not close must be closed by tokens and keys, so those attacks run without the
firewall; what the firewall must close is tried with it.
"""

import itertools
import json
import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Api, Json
from support.clients import bearer
from support.docker import docker, inspect
from support.firewall import can_install, firewall
from support.running import Platform
from support.streams import HttpSession, knock
from support.tiny import tiny_server
from support.waits import until

from conftest import SERVERS_DIR

needs_root = pytest.mark.skipif(not can_install(), reason="only root may change the firewall")

METADATA = ["169.254.169.254:80", "169.254.170.2:80", "100.100.100.200:80", "168.63.129.16:80", "192.0.0.192:80"]
FAILED_IN_THE_NETWORK = {"EHOSTUNREACH", "ENETUNREACH", "timeout"}
TINY = tiny_server("victim")


class Fortress(Platform):
    """A platform that servers can at least try to reach, and whose firewall can be there or not."""

    listen_on = "0.0.0.0"

    def raise_walls(self, **settings: str) -> str:
        subnets = {"EMCP_SUBNET": self.network.subnet, "EMCP_INTERNAL_SUBNET": self.network.internal_subnet}
        return firewall("install", self.instance, **subnets, **settings)

    def take_down_walls(self) -> None:
        if can_install():
            firewall("remove", self.instance)

    def stop(self) -> None:
        self.take_down_walls()
        super().stop()

    def restart_emcp(self) -> None:
        self.kill_emcp()
        self.start_emcp()
        self.wait_ready()

    def firewall_state(self) -> str:
        """What EMCP says of the firewall, once it has tried."""

        def tried() -> str | None:
            found: Json = httpx.get(f"{self.internal_url}/readyz", verify=TRUSTS_NOBODY, trust_env=False).json()
            return None if found["firewall"]["state"] == "unknown" else str(found["firewall"]["state"])

        return until("EMCP to try the firewall", tried, 60)


@pytest.fixture(scope="module")
def fortress() -> Iterator[Fortress]:
    platform = Fortress(EMCP_FIREWALL="on")
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture
def no_walls(fortress: Fortress) -> None:
    fortress.take_down_walls()


@pytest.fixture
def walls(fortress: Fortress) -> str:
    return fortress.raise_walls()


@pytest.fixture(scope="module")
def attacker(fortress: Fortress) -> Json:
    fortress.api.create("attacker", SERVERS_DIR / "attacker.py", start="true")
    return fortress.api.wait_for("attacker", "running")


@pytest.fixture(scope="module")
def shut_in(fortress: Fortress) -> Json:
    """The same attacker without egress."""
    fortress.api.create("shut-in", SERVERS_DIR / "attacker.py", start="true", egress="none")
    return fortress.api.wait_for("shut-in", "running")


@pytest.fixture(scope="module")
def victim(fortress: Fortress) -> Json:
    fortress.api.create("victim", TINY, start="true", entry_object="app")
    return fortress.api.wait_for("victim", "running")


@pytest.fixture(scope="module")
def host_port() -> Iterator[int]:
    """A service of the host on every address, such as a database of the operator's."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener.getsockname()[1]


def attack(fortress: Fortress, server: str, tool: str, **arguments: object) -> object:
    with HttpSession(fortress.api, server, bearer(fortress.admin_token)) as session:
        return json.loads(session.call_tool(tool, arguments))


def reached(fortress: Fortress, server: str, targets: list[str]) -> dict[str, str]:
    found = attack(fortress, server, "connect", targets=targets)
    assert isinstance(found, dict)
    return found


def host_addresses(fortress: Fortress) -> list[str]:
    """The host's IPv4 addresses, those in the platform's own networks among them.

    Bridges of other platforms come and go meanwhile, and then their addresses are the internet's.
    """
    lines = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout.splitlines()
    fixed = [line.split()[3].partition("/")[0] for line in lines if not line.split()[1].startswith(("lo", "br-"))]
    own = (fortress.network.subnet, fortress.network.internal_subnet)
    return [*fixed, *(f"{subnet.rpartition('.')[0]}.1" for subnet in own)]


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def platform_ports(fortress: Fortress) -> list[int]:
    return [port_of(url) for url in (fortress.public_url, fortress.http_url, fortress.internal_url, fortress.upstream_url)]


# --- what tokens and keys close, whatever the network lets through ---------------------------------------------------


FORGERIES = {
    "nothing": "",
    "a guessed key": "X-Emcp-Gateway-Key: 0000\r\n",
    "an empty key": "X-Emcp-Gateway-Key:\r\n",
    "two keys": "X-Emcp-Gateway-Key: a\r\nX-Emcp-Gateway-Key: b\r\n",
    "an alias of the key": "X_Emcp_Gateway_Key: 0000\r\n",
    "a user": "X-Emcp-User: admin\r\n",
    "a proxy's words": "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: localhost\r\nX-Forwarded-Uri: /api/victim\r\n",
    "a hop-by-hop key": "Connection: X-Emcp-Gateway-Key\r\nX-Emcp-Gateway-Key: 0000\r\n",
}


@pytest.mark.usefixtures("no_walls")
@pytest.mark.parametrize("forgery", FORGERIES)
def test_another_server_answers_nobody_without_its_key(
    fortress: Fortress, attacker: Json, victim: Json, forgery: str
) -> None:
    address, _, port = victim["address"].partition(":")
    for path, host in itertools.product(("/mcp", "/.emcp/health", "/../mcp"), ("localhost", "victim", "127.0.0.1")):
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{FORGERIES[forgery]}Connection: close\r\n\r\n"
        answer = attack(fortress, "attacker", "send", host=address, port=int(port), request=request)
        assert " 403 " in f"{answer} ", f"{path} with {forgery}: {answer}"


@pytest.mark.usefixtures("no_walls")
def test_emcp_and_traefik_tell_a_server_nothing_without_a_token(
    fortress: Fortress, attacker: Json, victim: Json
) -> None:
    found = attack(fortress, "attacker", "look_around")
    assert isinstance(found, dict)
    gateway = found["gateways"][0]
    api, internal = port_of(fortress.upstream_url), port_of(fortress.internal_url)
    forged = (
        "X-Emcp-User: admin\r\nX-Emcp-Gateway-Key: x\r\nX-Forwarded-For: 127.0.0.1\r\n"
        "X-Forwarded-Host: localhost\r\nX-Forwarded-Uri: /api/attacker/mcp\r\nX-Forwarded-Method: GET\r\n"
    )
    refused = {
        (api, "/api/servers"): 401,
        (api, "/api/tokens"): 401,
        (api, "/api/overview"): 401,
        (api, "/api/backup?keys=true"): 401,
        (api, f"/api/servers/{victim['id']}/env"): 401,
        (internal, f"/gate?server={victim['id']}"): 401,
        (internal, "/traefik/config"): 401,
        # Traefik's own API is off: what looks like it is a path of EMCP's that does not exist.
        (port_of(fortress.http_url), "/api/rawdata"): 302,
        (port_of(fortress.http_url), "/api/http/routers"): 302,
        (port_of(fortress.http_url), "/dashboard/"): 302,
        (port_of(fortress.http_url), "/debug/vars"): 302,
    }
    if attack(fortress, "attacker", "connect", targets=[f"{gateway}:{api}"]) != {f"{gateway}:{api}": "connected"}:
        pytest.skip("this machine's own firewall keeps servers from EMCP already")
    for (port, path), status in refused.items():
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{forged}Connection: close\r\n\r\n"
        answer = attack(fortress, "attacker", "send", host=gateway, port=port, request=request)
        assert f" {status} " in f"{answer} ", f"{port} {path}: {answer}"


def test_traefiks_api_is_nowhere(fortress: Fortress) -> None:
    for path in ("/api/rawdata", "/api/version", "/api/overview", "/api/http/services", "/dashboard/", "/debug/pprof/"):
        answer = fortress.api_as(None).request("GET", path)
        assert answer.status_code in (401, 404), f"{path}: {answer.status_code} {answer.text[:200]}"


def test_there_is_no_docker_socket(fortress: Fortress, attacker: Json) -> None:
    assert attack(fortress, "attacker", "sockets") == []


def test_no_address_of_the_engine_answers(fortress: Fortress, attacker: Json) -> None:
    found = reached(fortress, "attacker", [f"{host}:{port}" for host in host_addresses(fortress) for port in (2375, 2376)])
    assert "connected" not in found.values(), found


def test_a_server_has_no_ipv6_that_rules_for_ipv4_would_miss(fortress: Fortress, attacker: Json) -> None:
    found = attack(fortress, "attacker", "look_around")
    assert isinstance(found, dict) and found["has_ipv6"] is False


# --- what the firewall closes ----------------------------------------------------------------------------------------


@needs_root
def test_emcp_says_whether_servers_reach_the_host(fortress: Fortress, attacker: Json) -> None:
    fortress.take_down_walls()
    own_try = reached(fortress, "attacker", [f"{fortress.network.subnet.rpartition('.')[0]}.1:1", METADATA[0]])
    is_open = not set(own_try.values()) <= FAILED_IN_THE_NETWORK
    fortress.restart_emcp()
    assert fortress.firewall_state() == ("open" if is_open else "closed"), own_try
    notices = fortress.api.call("GET", "/api/overview")["notices"]
    assert [notice["code"] for notice in notices] == (["firewall_open"] if is_open else [])

    fortress.raise_walls()
    fortress.restart_emcp()
    assert fortress.firewall_state() == "closed"
    assert fortress.api.call("GET", "/api/overview")["notices"] == []
    of_this_instance = f"label=emcp.instance={fortress.instance}"
    leftover = docker("ps", "--all", "--quiet", "--filter", of_this_instance, "--filter", "label=emcp.helper")
    assert leftover == "", "the container that tried it is still there"


@needs_root
@pytest.mark.usefixtures("walls")
def test_no_port_of_the_host_is_reached(fortress: Fortress, attacker: Json, shut_in: Json, host_port: int) -> None:
    ports = [host_port, 22, *platform_ports(fortress)]
    targets = [f"{address}:{port}" for address in host_addresses(fortress) for port in ports]
    for server in ("attacker", "shut-in"):
        found = reached(fortress, server, targets)
        assert set(found.values()) <= FAILED_IN_THE_NETWORK, (server, found)


@needs_root
def test_an_operator_may_allow_single_ports(fortress: Fortress, attacker: Json, shut_in: Json, host_port: int) -> None:
    fortress.raise_walls(EMCP_HOST_PORTS_ALLOWED=f"{host_port},1234")
    other = port_of(fortress.upstream_url)
    address = host_addresses(fortress)[0]
    found = reached(fortress, "attacker", [f"{address}:{host_port}", f"{address}:{other}"])
    assert found[f"{address}:{host_port}"] == "connected"
    assert found[f"{address}:{other}"] in FAILED_IN_THE_NETWORK
    # Without egress there is none, allowed or not.
    found = reached(fortress, "shut-in", [f"{address}:{host_port}"])
    assert set(found.values()) <= FAILED_IN_THE_NETWORK, found


@needs_root
@pytest.mark.usefixtures("walls")
def test_no_metadata_address_is_reached(fortress: Fortress, attacker: Json, shut_in: Json) -> None:
    for server in ("attacker", "shut-in"):
        found = reached(fortress, server, METADATA)
        assert set(found.values()) <= FAILED_IN_THE_NETWORK, (server, found)
    # Where the rules say so it is known at once; a time limit would not tell them from an address nobody has.
    assert reached(fortress, "attacker", METADATA)["169.254.169.254:80"] == "EHOSTUNREACH"


@needs_root
@pytest.mark.usefixtures("walls")
def test_no_other_server_is_reached(fortress: Fortress, attacker: Json, shut_in: Json, victim: Json) -> None:
    bridged = open("/proc/sys/net/bridge/bridge-nf-call-iptables").read().strip() == "1"
    found = reached(fortress, "attacker", [shut_in["address"]])
    assert set(found.values()) <= FAILED_IN_THE_NETWORK, found
    found = reached(fortress, "shut-in", [victim["address"], attacker["address"]])
    assert set(found.values()) <= FAILED_IN_THE_NETWORK, found
    # Within one network the kernel asks the rules only where br_netfilter is on; the key holds anyway.
    found = reached(fortress, "attacker", [victim["address"]])
    assert not bridged or set(found.values()) <= FAILED_IN_THE_NETWORK, found


@needs_root
@pytest.mark.usefixtures("walls")
def test_behind_the_walls_everything_is_served(fortress: Fortress, attacker: Json, shut_in: Json, victim: Json) -> None:
    headers = bearer(fortress.admin_token)
    for server in ("attacker", "shut-in"):
        assert knock(fortress.api, server, headers).status_code == 200
    assert fortress.api.request("GET", "/api/victim/", headers=headers).text == "victim"
    for action in ("stop", "start"):
        fortress.api.action("victim", action, wait_secs=60)
    assert fortress.api.wait_for("victim", "running")


# --- egress ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_walls")
def test_without_egress_nothing_outside_is_reached_nor_asked_for(
    fortress: Fortress, shut_in: Json, host_port: int
) -> None:
    assert shut_in["egress"] == "none"
    container = inspect(shut_in["container_id"])
    assert list(container["NetworkSettings"]["Networks"]) == [fortress.network.internal_name]
    names = resolvable_names()
    targets = [*(f"{address}:443" for address in names.values()), "192.0.2.1:443", "198.51.100.1:443"]
    found = reached(fortress, "shut-in", targets)
    assert set(found.values()) <= FAILED_IN_THE_NETWORK, found
    for name in (*names, "example.com"):
        assert attack(fortress, "shut-in", "resolve", name=name) is None, name


def test_with_egress_names_are_resolved_behind_the_walls_too(fortress: Fortress, attacker: Json) -> None:
    names = resolvable_names()
    if not names:
        pytest.skip("this machine resolves no name of the outside")
    if can_install():
        fortress.raise_walls()
    for name in names:
        assert attack(fortress, "attacker", "resolve", name=name) is not None, name


def test_egress_changes_with_a_restart_at_once_and_the_address_goes_along(fortress: Fortress) -> None:
    api, headers = fortress.api, bearer(fortress.admin_token)
    try:
        before = api.create("movable", TINY, start="true", entry_object="app")
        before = api.wait_for("movable", "running")
        assert before["egress"] == "open"
        changed = api.call("PATCH", "/api/servers/movable", json={"egress": "none"})
        assert changed["address"] != before["address"]
        # No request is sent to where the server was: while its route moves it is told to come again, then held.
        assert patient(api, "/api/movable/", headers) == "victim"
        after = api.wait_for("movable", "running")
        assert after["container_id"] != before["container_id"] and after["restart_needed"] is False
        assert after["address"].rpartition(".")[2] == before["address"].rpartition(".")[2]
        back = api.call("PATCH", "/api/servers/movable", json={"egress": "open"})
        assert back["address"] == before["address"]
        # It was running before, too.
        until("the change to be there", lambda: api.server("movable")["settled"], 60.0)
        assert api.server("movable")["status"] == "running"
        assert api.request("GET", "/api/movable/", headers=headers).text == "victim"

        api.call("PATCH", "/api/servers/movable", json={"hold": True})
        answer = api.request("PATCH", "/api/servers/movable", json={"egress": "none"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "server_held")
        answer = api.request("PATCH", "/api/servers/movable", json={"egress": "some"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_egress")
    finally:
        api.delete("movable")


def patient(api: Api, path: str, headers: dict[str, str]) -> str:
    """A client that comes again when it is told to, and takes nothing else for an answer."""

    def answered() -> str | None:
        answer = api.request("GET", path, headers=headers)
        if answer.status_code == 503:
            assert answer.headers["retry-after"]
            return None
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}"
        return answer.text

    return until(f"{path} to answer", answered, 60)


def resolvable_names() -> dict[str, str]:
    """Names of the outside that the host itself can resolve."""
    found = {}
    for name in ("pypi.org", "debian.org"):
        try:
            found[name] = socket.gethostbyname(name)
        except OSError:
            continue
    return found


# --- the container itself --------------------------------------------------------------------------------------------


def test_nothing_but_memory_can_be_written(fortress: Fortress, attacker: Json) -> None:
    found = attack(fortress, "attacker", "writable")
    assert isinstance(found, list)
    outside = [path for path in found if not path.startswith(("/tmp", "/dev/shm"))]
    assert outside == []
    assert "/tmp" in found and "/dev/shm" in found


def test_shared_memory_is_there_for_those_who_need_it(fortress: Fortress, attacker: Json) -> None:
    assert attack(fortress, "attacker", "multiprocessing_works") == "3"


def test_the_kernel_holds_it_to_be_nobody(fortress: Fortress, attacker: Json) -> None:
    status = attack(fortress, "attacker", "status")
    assert isinstance(status, dict)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, f"{name}: {status[name]}"
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Groups"] in ("", "10001")


def test_no_way_to_more_rights_succeeds(fortress: Fortress, attacker: Json) -> None:
    found = attack(fortress, "attacker", "gain_privileges")
    assert isinstance(found, dict)
    assert "unshare user" in found and "init_module" in found
    assert [name for name, how in found.items() if how == "succeeded"] == []


def test_setuid_programs_give_nothing(fortress: Fortress, attacker: Json) -> None:
    found = attack(fortress, "attacker", "use_setuid_programs")
    assert isinstance(found, dict)
    assert set(found.values()) <= {"10001", "ended"}, found


