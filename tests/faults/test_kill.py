"""EMCP is killed at random instants while callers write: what it acknowledged is there, what it did not is whole.

EMCP_FAULT_SEED repeats a run's choices (the instants differ with the machine's load), EMCP_FAULT_CYCLES sets how
often EMCP dies.
"""

import os
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from callers import Caller, secret_of
from harness import SETTLE_DEADLINE_SECS, FaultPlatform, Json, server_of
from support.waits import NotInTime, until

CALLERS = 4
CYCLES = int(os.environ.get("EMCP_FAULT_CYCLES", "20"))
SEED = int(os.environ.get("EMCP_FAULT_SEED") or secrets.randbits(32))
# The longest time EMCP lives in a cycle; the shortest is none at all.
LIFE_SECS = 1.2
# A long run settles and is checked in between, so that a fault is found near the kill that caused it.
CYCLES_BETWEEN_CHECKS = 25


@pytest.mark.timeout(120 + 12 * CYCLES)
def test_what_was_acknowledged_survives_every_kill(
    new_platform: Callable[..., FaultPlatform], tell: Callable[[str], None]
) -> None:
    tell(f"EMCP_FAULT_SEED={SEED} EMCP_FAULT_CYCLES={CYCLES}")
    instants = random.Random(SEED)
    platform = new_platform()
    platform.start()
    callers = [Caller(number, SEED) for number in range(CALLERS)]
    for cycle in range(1, CYCLES + 1):
        _work_and_die(platform, callers, instants.uniform(0, LIFE_SECS))
        platform.start_emcp()
        _compare(platform, callers)
        if cycle % CYCLES_BETWEEN_CHECKS == 0 or cycle == CYCLES:
            _check_all(platform, callers)
            tell(f"{cycle} kills: {_summary(callers)}")
    _no_address_is_lost(platform)
    assert sum(caller.acknowledged for caller in callers) >= CYCLES * 5, "too few calls to mean anything"
    assert sum(caller.cut_off for caller in callers) >= CYCLES / 2, "EMCP was hardly ever killed during a call"


def _work_and_die(platform: FaultPlatform, callers: list[Caller], life_secs: float) -> None:
    """Let the callers work and kill EMCP after the given time."""
    is_over = threading.Event()
    clients = [platform.direct() for _ in callers]
    with ThreadPoolExecutor(CALLERS) as pool:
        work = [pool.submit(caller.work, http, is_over) for caller, http in zip(callers, clients, strict=True)]
        time.sleep(life_secs)  # The instant of the death is what is tested.
        platform.kill_emcp()
        is_over.set()
        for each in work:
            each.result()
    for http in clients:
        http.close()
    refused = [answer for caller in callers for answer in caller.refused]
    assert not refused, "calls that had to be taken were refused:\n" + "\n".join(refused)


def _compare(platform: FaultPlatform, callers: list[Caller]) -> None:
    """Everything acknowledged is there, and nothing that nobody asked for."""
    with platform.direct() as http:
        servers: list[Json] = http.get("/api/servers").raise_for_status().json()["servers"]
        by_name = {server["name"]: server for server in servers}
        unknown = by_name.keys() - {record.name for caller in callers for record in caller.records}
        assert not unknown, f"servers nobody asked for: {unknown}"
        for caller in callers:
            caller.compare(http, by_name)


def _check_all(platform: FaultPlatform, callers: list[Caller]) -> None:
    """With no more deaths everything comes to rest as wanted, and the data directory is sound."""
    platform.wait_settled()
    _compare(platform, callers)
    _containers_answer_the_last_wish(platform, callers)
    platform.wait_settled()
    _no_stray_files(platform)
    platform.assert_sound()
    platform.wait_settled()


def _containers_answer_the_last_wish(platform: FaultPlatform, callers: list[Caller]) -> None:
    """A server whose newest wish EMCP has not begun with still shows what it was before, so this is waited for."""
    problems: list[str] = []

    def all_do() -> bool:
        problems[:] = _outdated(platform, callers)
        return not problems

    try:
        until("containers to answer the last wish", all_do, SETTLE_DEADLINE_SECS)
    except NotInTime:
        pytest.fail("\n".join(problems))


def _outdated(platform: FaultPlatform, callers: list[Caller]) -> list[str]:
    """Running containers that are not of the last acknowledged wish, with what was asked of their servers."""
    with platform.direct() as http:
        servers = http.get("/api/servers").raise_for_status().json()["servers"]
    by_id: dict[str, Json] = {server["id"]: server for server in servers if server["desired"] == "running"}
    records = {record.id: record for caller in callers for record in caller.records}
    problems: list[str] = []
    for container in platform.own_containers():
        server, record = by_id.get(server_of(container)), records[server_of(container)]
        if server is None:
            continue
        history = "\n".join(record.history)
        made = datetime.fromisoformat(container["Created"][:23] + "+00:00").timestamp()
        # Docker's times are cut to milliseconds here.
        if made < record.new_container_after - 0.002:
            problems.append(f"{record.name}: its container is older than its last acknowledged restart\n{history}")
        if server["restart_needed"] or not server["settled"]:
            continue
        env = dict(item.partition("=")[::2] for item in container["Config"]["Env"])
        wanted = {**record.env.latest, "SECRET": secret_of(record.env.latest["NUMBER"])}
        for key, value in wanted.items():
            if env.get(key) != value:
                problems.append(f"{record.name}: its container has another {key} than was acknowledged\n{history}")
    return problems


def _no_stray_files(platform: FaultPlatform) -> None:
    """In the servers' folders is nothing but logs; that all code has a version is seen to by the settling."""
    strays: list[str] = []
    for folder in platform.server_folders():
        for path in (platform.data_dir / folder).rglob("*"):
            inside = path.relative_to(platform.data_dir / folder)
            if path.is_file() and inside.parts[0] != "logs":
                strays.append(f"{folder}/{inside}")
    assert not strays, f"files that belong to nothing: {strays}"


def _no_address_is_lost(platform: FaultPlatform) -> None:
    """New servers get every address that nobody has, each once; those that rest after a server was deleted come last."""
    with platform.direct() as http:
        servers = http.get("/api/servers").raise_for_status().json()["servers"]
        free = set(range(16, 255)) - {_last_byte(server) for server in servers}
        given: list[int] = []
        for number in range(len(free)):
            body = {"name": f"address-{number}", "code": "app = None", "start": False}
            made = http.post("/api/servers", json=body)
            assert made.is_success, made.text
            given.append(_last_byte(made.json()))
    assert sorted(given) == sorted(free)


def _last_byte(server: Json) -> int:
    """Of its address; the network is a /24, of which EMCP leaves the first sixteen to Docker."""
    host: str = server["address"].partition(":")[0]
    return int(host.rpartition(".")[2])


def _summary(callers: list[Caller]) -> str:
    servers = sum(len(caller.records) for caller in callers)
    return (
        f"{sum(caller.acknowledged for caller in callers)} calls acknowledged, "
        f"{sum(caller.cut_off for caller in callers)} cut off, {servers} servers"
    )
