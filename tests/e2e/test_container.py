"""What a running server's container may do, as the engine sees it and as the server itself meets it."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from support.api import Api
from support.clients import bearer
from support.docker import inspect
from support.running import Platform
from support.streams import HttpSession

Json = dict[str, Any]

PRISONER = '''\
import os
import socket
from pathlib import Path

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Prisoner")


@mcp.tool()
def whoami() -> str:
    """The user and group this runs as."""
    return f"{os.getuid()}:{os.getgid()}"


@mcp.tool()
def write(path: str) -> str:
    """Try to write a file."""
    try:
        Path(path).write_text("written")
    except OSError as error:
        return type(error).__name__
    return "written"


@mcp.tool()
def reach(host: str, port: int) -> str:
    """Try to send another server a request."""
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"GET /sse HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
        return connection.recv(64).split(b"\\r\\n")[0].decode()


@mcp.tool()
def variables() -> list[str]:
    """The names of all environment variables."""
    return sorted(os.environ)
'''


@pytest.fixture(scope="module")
def prisoner(platform: Platform) -> Iterator[Json]:
    api = platform.api
    server = api.create("prisoner", PRISONER, start="true")
    yield api.wait_for(server["id"], "running")
    api.delete("prisoner")


@pytest.fixture(scope="module")
def session(platform: Platform, prisoner: Json) -> Iterator[HttpSession]:
    with HttpSession(platform.api, "prisoner", bearer(platform.admin_token)) as session:
        yield session


def test_the_container_is_locked_down(platform: Platform, prisoner: Json) -> None:
    container = inspect(prisoner["container_id"])
    host, config = container["HostConfig"], container["Config"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert [option[:8] for option in host["SecurityOpt"] if "seccomp" in option] == ["seccomp="], "EMCP's own profile"
    assert host["Privileged"] is False
    assert host["Init"] is True
    assert "/tmp" in host["Tmpfs"] and "size=" in host["Tmpfs"]["/tmp"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (512 * 1024 * 1024, 1_000_000_000, 128)
    assert host["MemorySwap"] == host["Memory"], "swap must not stretch the limit"
    # The platform has 2048 and -500 (compose.yml), so that it goes first where either runs short.
    assert host["CpuShares"] == 512
    assert host["OomScoreAdj"] == 500
    assert not host["PortBindings"] and not host["PublishAllPorts"]
    assert host["LogConfig"]["Config"].get("max-size")
    mounts = [(mount["Destination"], mount["RW"]) for mount in container["Mounts"] if mount["Type"] == "bind"]
    assert mounts == [("/app/user_code", False)]
    assert config["Labels"]["emcp.instance"] == platform.instance
    assert config["Labels"]["emcp.server"] == prisoner["id"]
    assert uuid.UUID(config["Labels"]["emcp.run-of"]) != uuid.UUID(prisoner["id"])


def test_it_has_its_own_address_on_the_platforms_network_only(platform: Platform, prisoner: Json) -> None:
    networks = inspect(prisoner["container_id"])["NetworkSettings"]["Networks"]
    assert list(networks) == [platform.network.name]
    assert f"{networks[platform.network.name]['IPAddress']}:8000" == prisoner["address"]


def test_it_runs_as_a_nobody_that_can_write_to_tmp_only(session: HttpSession) -> None:
    assert session.call_tool("whoami", {}).startswith("10001:")
    assert session.call_tool("write", {"path": "/tmp/scratch"}) == "written"
    for path in ("/app/user_code/server.py", "/app/x", "/etc/x", "/var/x", "/home/x"):
        assert session.call_tool("write", {"path": path}) in ("OSError", "PermissionError", "FileNotFoundError")


def test_it_cannot_use_another_server_around_the_gate(session: HttpSession, fixtures: dict[str, Json]) -> None:
    host, _, port = fixtures["fixture-v1"]["address"].partition(":")
    assert " 403 " in session.call_tool("reach", {"host": host, "port": int(port)}) + " "


def test_it_does_not_know_its_own_gateway_key(session: HttpSession) -> None:
    assert "EMCP_GATEWAY_KEY" not in session.call_tool("variables", {})


def test_the_address_stays_for_life(api: Api, prisoner: Json) -> None:
    api.action("prisoner", "restart", wait_secs=60)
    server = api.wait_for("prisoner", "running")
    assert server["container_id"] != prisoner["container_id"]
    assert server["address"] == prisoner["address"]
