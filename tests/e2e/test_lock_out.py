"""Wrong tokens: they lock their address out, and nobody else. The loopback network gives clients of
different addresses: 127.0.0.1 is Traefik's, others are their own."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

import httpx
import pytest

from support.api import TRUSTS_NOBODY
from support.clients import bearer
from support.running import Platform
from support.waits import until

Json = dict[str, Any]

WRONG_MAX = 10
WRONG = f"emcp_{'f' * 64}"


@pytest.fixture(scope="module")
def platform(new_platform: Callable[..., Platform]) -> Platform:
    """One that counts as installations do."""
    platform = new_platform(EMCP_WRONG_TOKENS_PER_MINUTE=str(WRONG_MAX))
    platform.api.create("locked", "mcp = None\n")
    return platform


@contextmanager
def from_address(platform: Platform, address: str, *, around_traefik: bool = False) -> Iterator[httpx.Client]:
    """A client of this address."""
    tls: ssl.SSLContext = TRUSTS_NOBODY if around_traefik else platform.api.tls
    base = platform.upstream_url if around_traefik else platform.public_url
    # "localhost" may be ::1, which an IPv4 address cannot reach.
    base = base.replace("localhost", "127.0.0.1")
    transport = httpx.HTTPTransport(local_address=address, verify=tls)
    headers = {"Host": "localhost"}
    with httpx.Client(base_url=base, transport=transport, headers=headers, timeout=30) as client:
        yield client


def ask(client: httpx.Client, token: str, **headers: str) -> httpx.Response:
    return client.get(
        "/api/servers",
        headers={**bearer(token), **headers},
        extensions={"sni_hostname": "localhost"},
    )


def lock_out(client: httpx.Client, **headers: str) -> None:
    answers = [ask(client, WRONG, **headers).status_code for _ in range(WRONG_MAX)]
    assert answers == [401] * WRONG_MAX


def lock_outs(platform: Platform) -> list[str]:
    entries: list[Json] = platform.api.call("GET", "/api/audit", params={"action": "token.lock_out"})["entries"]
    return [entry["from"] for entry in entries]


def test_too_many_wrong_tokens_lock_their_address_out_and_no_other(platform: Platform) -> None:
    with from_address(platform, "127.0.0.20") as culprit, from_address(platform, "127.0.0.21") as other:
        lock_out(culprit)
        answer = ask(culprit, WRONG)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "too_many_attempts"
        assert 0 < int(answer.headers["retry-after"]) <= 31
        assert ask(other, WRONG).status_code == 401
        # Colleagues behind the same address go on.
        assert ask(culprit, platform.admin_token).status_code == 200
    assert lock_outs(platform).count("127.0.0.20") == 1


def test_sign_in_and_gate_count_with_the_api(platform: Platform) -> None:
    with from_address(platform, "127.0.0.22") as client:
        sni = {"sni_hostname": "localhost"}
        for _ in range(WRONG_MAX // 2):
            assert client.post("/api/session", json={"token": WRONG}, extensions=sni).status_code == 401
            assert client.post("/api/locked/mcp", headers=bearer(WRONG), extensions=sni).status_code == 401
        assert client.post("/api/session", json={"token": WRONG}, extensions=sni).status_code == 429
        answer = client.post("/api/locked/mcp", headers=bearer(WRONG), extensions=sni)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        # The server is stopped: 503 is for those who may call it.
        allowed = client.post("/api/locked/mcp", headers=bearer(platform.admin_token), extensions=sni)
        assert allowed.status_code == 503
    assert lock_outs(platform).count("127.0.0.22") == 1


def test_guessing_stays_bounded_and_a_token_known_there_goes_on(platform: Platform) -> None:
    """Past a hundred wrong tokens in a lock-out even a right one that was never used from there is not looked at."""
    late = platform.api.call("POST", "/api/tokens", json={"name": "latecomer", "role": "viewer"})["token"]
    with from_address(platform, "127.0.0.23") as client:
        assert ask(client, platform.admin_token).status_code == 200
        lock_out(client)
        assert all(ask(client, WRONG).status_code == 429 for _ in range(100))
        assert ask(client, late).status_code == 429
        assert ask(client, platform.admin_token).status_code == 200
    with from_address(platform, "127.0.0.24") as elsewhere:
        assert ask(elsewhere, late).status_code == 200


def test_an_address_is_not_forged_through_traefik(platform: Platform) -> None:
    with from_address(platform, "127.0.0.25") as client:
        lock_out(client, **{"X-Forwarded-For": "203.0.113.25", "X-Real-Ip": "203.0.113.25"})
        forged = {"X-Forwarded-For": "203.0.113.26"}
        assert ask(client, WRONG, **forged).status_code == 429
        sni = {"sni_hostname": "localhost"}
        gate = client.post("/api/locked/mcp", headers={**bearer(WRONG), **forged}, extensions=sni)
        assert gate.status_code == 429
    assert "127.0.0.25" in lock_outs(platform)
    assert not [address for address in lock_outs(platform) if address.startswith("203.")]


def test_an_address_is_not_forged_around_traefik(platform: Platform) -> None:
    """Whoever reaches the listener directly is taken for who they are: only Traefik's word is believed."""
    with from_address(platform, "127.0.0.26", around_traefik=True) as client:
        lock_out(client, **{"X-Forwarded-For": "203.0.113.27"})
        assert ask(client, WRONG, **{"X-Forwarded-For": "203.0.113.28"}).status_code == 429
    assert "127.0.0.26" in lock_outs(platform)
    assert not [address for address in lock_outs(platform) if address.startswith("203.")]


def test_clients_whose_address_is_unknown_are_not_locked_out_for_each_other(platform: Platform) -> None:
    """As all those that come by Docker's own proxy: over IPv6, and from the host. They have the bridge's address."""
    late = platform.api.call("POST", "/api/tokens", json={"name": "by-ipv6", "role": "viewer"})["token"]
    # Of the network without a way out: for the other, Docker gives what leaves the bridge another address.
    gateway = str(next(IPv4Network(platform.network.internal_subnet).hosts()))
    with from_address(platform, gateway) as client:
        lock_out(client)
        refused = [ask(client, WRONG) for _ in range(110)]
        waits = {int(answer.headers["retry-after"]) for answer in refused if answer.status_code == 429}
        assert waits and max(waits) <= 2
        # Known nowhere yet, and no worse off for what another did.
        until("a newcomer to be let in", lambda: ask(client, late).status_code == 200, 30)
    assert lock_outs(platform).count("unknown") == 1
    assert gateway not in lock_outs(platform)
    notices = platform.api.call("GET", "/api/overview")["notices"]
    assert "clients_unknown" in [notice["code"] for notice in notices]
    ready = httpx.get(f"{platform.internal_url}/readyz", verify=TRUSTS_NOBODY, trust_env=False).json()
    assert "clients_unknown" in [notice["code"] for notice in ready["notices"]]


def test_audit_log_and_last_use_outlive_emcp(platform: Platform) -> None:
    made = platform.api.call("POST", "/api/tokens", json={"name": "survivor", "role": "viewer"})
    used = platform.api_as(made["token"])
    used.servers()

    def remembered() -> tuple[list[int], Any]:
        entries = platform.api.call("GET", "/api/audit", params={"limit": 1000})["entries"]
        token = next(t for t in platform.api.call("GET", "/api/tokens")["tokens"] if t["id"] == made["id"])
        return [entry["id"] for entry in entries], token["last_used_at"]

    before = remembered()
    platform.stop_emcp()
    platform.start_emcp()
    platform.wait_ready()
    assert remembered() == before
    assert before[1] is not None
