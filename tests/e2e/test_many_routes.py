"""Many callers create, move and delete servers at once: Traefik routes exactly those that are left."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.api import TRUSTS_NOBODY, Api
from support.running import Platform
from support.streams import has_route, knock
from support.tiny import tiny_server
from support.waits import until

Json = dict[str, Any]

CALLERS = 24
SERVERS_EACH = 4
# Of the last server of so many callers a container is made.
STARTED = 2
DEADLINE_SECS = 60.0


@pytest.fixture
def names(api: Api) -> Iterator[list[str]]:
    """The servers that are left when every caller is done."""
    left: list[str] = []
    yield left
    for name in left:
        api.delete(name)


def test_no_route_is_lost_and_none_stays(
    platform: Platform, api: Api, admin_headers: dict[str, str], names: list[str]
) -> None:
    with ThreadPoolExecutor(CALLERS) as callers:
        for left in callers.map(lambda number: _work(platform, number, admin_headers), range(CALLERS)):
            names += left
    assert len(names) == CALLERS * (SERVERS_EACH - 1)

    # Where Traefik is told to send each server's requests is where the server is, and no other is named.
    expected = {f"server-{each['id']}": f"http://{each['address']}" for each in api.servers()}
    until("the routes to be those of the servers", lambda: _routes(platform) == expected, DEADLINE_SECS)
    # And Traefik has it so: a route that was lost would end at EMCP, which knows no server behind it.
    for name in names:
        until(f"a route to {name}", lambda name=name: has_route(knock(api, name, admin_headers)), DEADLINE_SECS)
    # How Traefik asks itself which document it routes by is nothing for its log, and has not failed.
    log = platform.traefik_log.read_text(errors="replace")
    assert "/.emcp/in-effect" not in log
    assert "Health check failed" not in log


def _work(platform: Platform, number: int, headers: dict[str, str]) -> list[str]:
    """One caller's servers: the first one goes again, the others move to and fro, and the last may run."""
    with httpx.Client(base_url=platform.upstream_url, headers=headers, verify=TRUSTS_NOBODY, timeout=60) as http:
        names = [f"many-{number}-{each}" for each in range(SERVERS_EACH)]
        for name in names:
            runs = name == names[-1] and number < STARTED
            body = {"name": name, "code": tiny_server(name), "entry_object": "app", "start": runs}
            assert http.post("/api/servers", json=body).status_code == 201
            if runs:
                _assert_reachable_once_running(platform, http, name, headers)
                continue
            for egress in ("none", "open", "none")[: 1 + number % 3]:
                assert http.patch(f"/api/servers/{name}", json={"egress": egress}).is_success
        assert http.delete(f"/api/servers/{names[0]}").is_success
    return names[1:]


def _assert_reachable_once_running(
    platform: Platform, http: httpx.Client, name: str, headers: dict[str, str]
) -> None:
    """`running` promises that Traefik routes to the server, whatever is created and deleted meanwhile."""
    until(f"{name} to run", lambda: http.get(f"/api/servers/{name}").json()["status"] == "running", DEADLINE_SECS)
    url = f"{platform.public_url}/api/{name}/"
    answer = httpx.get(url, headers=headers, verify=platform.api.tls, timeout=60, trust_env=False)
    assert (answer.status_code, answer.text) == (200, name)


def _routes(platform: Platform) -> dict[str, str]:
    """What EMCP gives Traefik: where each server's requests go."""
    token = (platform.data_dir / "provider-token").read_text().strip()
    # A connection that polls for the first time is answered at once.
    answer = httpx.get(
        f"{platform.internal_url}/traefik/config",
        headers={"Authorization": f"Bearer {token}"},
        verify=TRUSTS_NOBODY,
        trust_env=False,
    )
    services: Json = answer.raise_for_status().json()["http"]["services"]
    return {
        name: service["loadBalancer"]["servers"][0]["url"]
        for name, service in services.items()
        if name.startswith("server-")
    }
