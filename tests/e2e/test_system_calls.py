"""Which system calls the kernel refuses a server (src/runtime/docker/seccomp.json), tried from inside one.

Without the profile many of these are let in, or fail for another reason: each is called with arguments
that mean nothing, and only the filter answers EPERM or ENOSYS before the kernel has looked at them.
"""

import json
from collections.abc import Iterator

import pytest

from support.api import Json
from support.clients import bearer
from support.docker import inspect
from support.running import Platform
from support.streams import HttpSession

from conftest import SERVERS_DIR

STREAM, DGRAM, RAW, SEQPACKET, DCCP, CLOEXEC = 1, 2, 3, 5, 6, 0o2000000
# Above the int that the kernel looks at: a filter by what is refused would miss it.
DISGUISE = 1 << 32
REFUSED_SOCKETS = {
    "vsock": [40, STREAM, 0],
    "vsock in disguise": [40 | DISGUISE, STREAM, 0],
    "inet in disguise": [2 | DISGUISE, STREAM, 0],
    "alg": [38, SEQPACKET, 0],
    "packet": [17, RAW, 0],
    "raw": [2, RAW, 1],
    "raw 6": [10, RAW, 58],
    "sctp": [2, STREAM, 132],
    "sctp by its type": [2, SEQPACKET, 0],
    "dccp": [2, DCCP, 33],
    "mptcp": [2, STREAM, 262],
    "udplite": [2, DGRAM, 136],
    "smc": [43, STREAM, 0],
    "tipc": [30, STREAM, 0],
    "can": [29, RAW, 1],
    "bluetooth": [31, RAW, 0],
    "x25": [9, SEQPACKET, 0],
    "xdp": [44, RAW, 0],
    "key": [15, RAW, 2],
    "netlink, firewall": [16, RAW, 12],
    "netlink, audit": [16, RAW, 9],
    "netlink, sockets": [16, RAW, 4],
}
ALLOWED_SOCKETS = {
    "unix": [1, STREAM, 0],
    "tcp": [2, STREAM | CLOEXEC, 0],
    "tcp by its number": [2, STREAM, 6],
    "udp": [2, DGRAM | CLOEXEC, 0],
    "udp by its number": [2, DGRAM, 17],
    "netlink, routes": [16, RAW | CLOEXEC, 0],
}


@pytest.fixture(scope="module")
def server(platform: Platform) -> Iterator[Json]:
    platform.api.create("system-calls", SERVERS_DIR / "system_calls.py", start="true")
    yield platform.api.wait_for("system-calls", "running")
    platform.api.delete("system-calls")


def told(platform: Platform, tool: str, **arguments: object) -> dict[str, str]:
    with HttpSession(platform.api, "system-calls", bearer(platform.admin_token)) as session:
        found = json.loads(session.call_tool(tool, arguments))
    assert isinstance(found, dict)
    return found


def test_calls_that_no_server_needs_are_refused(platform: Platform, server: Json) -> None:
    found = told(platform, "refused_calls")
    assert len(found) > 50
    # These two make libraries do without; everything else is plainly refused.
    absent = {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"}
    assert {name: found[name] for name in absent} == dict.fromkeys(absent, "ENOSYS")
    # An engine's libseccomp may be older than a call, and then the call is as good as not there.
    others = {name: how for name, how in found.items() if name not in absent and how not in ("EPERM", "ENOSYS")}
    assert others == {}
    # What the kernel of tomorrow has is not there, rather than forbidden: C libraries then take the older call.
    assert found["of the future"] == "ENOSYS"


def test_no_process_gets_a_namespace_of_its_own(platform: Platform, server: Json) -> None:
    found = told(platform, "refused_namespaces")
    assert len(found) == 7 and set(found.values()) == {"EPERM"}, found


def test_nothing_but_named_pipes_is_made_as_a_node(platform: Platform, server: Json) -> None:
    found = told(platform, "refused_nodes")
    assert len(found) == 3 and set(found.values()) == {"EPERM"}, found


def test_sockets_are_of_the_kinds_that_servers_need(platform: Platform, server: Json) -> None:
    refused = told(platform, "sockets_made", wanted=REFUSED_SOCKETS)
    assert {name: how for name, how in refused.items() if how != "EPERM"} == {}
    allowed = told(platform, "sockets_made", wanted=ALLOWED_SOCKETS)
    assert {name: how for name, how in allowed.items() if how != "succeeded"} == {}
    with HttpSession(platform.api, "system-calls", bearer(platform.admin_token)) as session:
        assert json.loads(session.call_tool("socket_pair", {"family": 30})) == "EPERM"
        assert json.loads(session.call_tool("socket_pair", {"family": 1})) == "succeeded"


def test_the_doors_for_other_kinds_of_programs_are_shut(platform: Platform, server: Json) -> None:
    found = told(platform, "foreign_calls")
    assert all(how.startswith("signal ") for how in found.values()), found


def test_what_servers_need_works(platform: Platform, server: Json) -> None:
    found = told(platform, "needs")
    assert len(found) == 7 and set(found.values()) == {"works"}, found


def test_the_profile_is_emcps_own_and_not_the_engines(platform: Platform, server: Json) -> None:
    options = inspect(server["container_id"])["HostConfig"]["SecurityOpt"]
    profiles = [option for option in options if option.startswith("seccomp=")]
    assert len(profiles) == 1 and "no-new-privileges" in options
    assert json.loads(profiles[0].removeprefix("seccomp="))["defaultAction"] == "SCMP_ACT_ERRNO"
