"""Callers who create, change and delete servers at random and remember what they were told."""

import json
import random
import threading
import time

import httpx
from harness import Json
from ledger import Code, Facet, Record, digest
from support.tiny import tiny_server

STOPPED_PER_CALLER = 6


class Caller:
    """One caller with servers of its own, so that what it was told is all there is to know of them."""

    def __init__(self, number: int, seed: int) -> None:
        self._random = random.Random(f"{seed}-{number}")
        self._prefix = f"caller-{number}"
        self._made = 0
        self.records: list[Record] = []
        self.acknowledged = 0
        self.cut_off = 0
        self.refused: list[str] = []

    def work(self, http: httpx.Client, is_over: threading.Event) -> None:
        """Make calls until the end, or until one was cut off: EMCP is dead then."""
        while not is_over.is_set():
            try:
                self._one_call(http)
            except httpx.TransportError:
                self.cut_off += 1
                return

    def compare(self, http: httpx.Client, servers: dict[str, Json]) -> None:
        """Check all servers of this caller; `servers` is by name. Those deleted for certain are forgotten."""
        for record in self.records:
            record.compare(http, servers.get(record.name))
        self.records = [record for record in self.records if record.exists.latest]

    def _one_call(self, http: httpx.Client) -> None:
        alive = [record for record in self.records if record.exists.possible == [True]]
        if len(alive) < 2:
            self._create(http)
            return
        record = self._random.choice(alive)
        calls = [self._start, self._stop, self._restart, self._env, self._env, self._code, self._describe]
        calls += [self._delete] if len(alive) > STOPPED_PER_CALLER else [self._create_another]
        self._random.choice(calls)(http, record)

    def _create_another(self, http: httpx.Client, _: Record) -> None:
        self._create(http)

    def _create(self, http: httpx.Client) -> None:
        self._made += 1
        name = f"{self._prefix}-{self._made}"
        code = tiny_server(f"{name} version 1")
        env = self._some_env()
        # Running containers are slow; most servers need none to show whether their records survive.
        starts = self._running() == 0
        record = Record(
            name=name,
            id=None,
            exists=Facet([False, True]),
            desired=Facet(["running" if starts else "stopped"]),
            env=Facet([_as_shown(env)]),
            code=Facet([Code((digest(code),))]),
            description=Facet([""]),
        )
        # Noted before the call: it may be cut off.
        self.records.append(record)
        body = {"name": name, "entry_object": "app", "code": code, "env": env, "start": starts}
        answer = self._call(http, record, "POST", "/api/servers", body)
        if answer is not None:
            record.exists.is_now(True)
            record.id = answer.json()["id"]

    def _delete(self, http: httpx.Client, record: Record) -> None:
        record.exists.may_be(False)
        if self._call(http, record, "DELETE", f"/api/servers/{record.id}") is not None:
            record.exists.is_now(False)

    def _start(self, http: httpx.Client, record: Record) -> None:
        if self._running() >= 2:
            self._stop(http, record)
            return
        self._act(http, record, "start", "running")

    def _stop(self, http: httpx.Client, record: Record) -> None:
        self._act(http, record, "stop", "stopped")

    def _restart(self, http: httpx.Client, record: Record) -> None:
        if "running" not in record.desired.possible:
            return
        begin = time.time()
        if self._act(http, record, "restart", "running"):
            record.new_container_after = begin

    def _act(self, http: httpx.Client, record: Record, action: str, desired: str) -> bool:
        record.desired.may_be(desired)
        answer = self._call(http, record, "POST", f"/api/servers/{record.id}/action", {"action": action})
        if answer is None:
            return False
        record.desired.is_now(desired)
        return True

    def _env(self, http: httpx.Client, record: Record) -> None:
        env = self._some_env()
        record.env.may_be(_as_shown(env))
        begin = time.time()
        restart = self._random.random() < 0.3
        flag = "?restart=true" if restart else ""
        if self._call(http, record, "PUT", f"/api/servers/{record.id}/env{flag}", {"env": env}) is not None:
            record.env.is_now(_as_shown(env))
            if restart:
                record.new_container_after = begin

    def _code(self, http: httpx.Client, record: Record) -> None:
        text = tiny_server(f"{record.name} {self._random.getrandbits(64):x}")
        newer = record.code.latest.then(text)
        record.code.may_be(newer)
        begin = time.time()
        if self._call(http, record, "PUT", f"/api/servers/{record.id}/code", {"code": text}) is not None:
            record.code.is_now(newer)
            record.new_container_after = begin

    def _describe(self, http: httpx.Client, record: Record) -> None:
        text = f"described {self._random.getrandbits(64):x}"
        record.description.may_be(text)
        if self._call(http, record, "PATCH", f"/api/servers/{record.id}", {"description": text}) is not None:
            record.description.is_now(text)

    def _call(
        self, http: httpx.Client, record: Record, method: str, path: str, body: Json | None = None
    ) -> httpx.Response | None:
        """The answer if it is 2xx. Every other answer is noted: none of these calls may be refused."""
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        record.history.append(f"{time.time():.3f} {method} {path} …")
        response = http.request(method, path, content=content, headers=headers)
        record.history[-1] += f" {response.status_code}"
        if response.is_success:
            self.acknowledged += 1
            return response
        self.refused.append(f"{method} {path}: {response.status_code} {response.text}")
        return None

    def _running(self) -> int:
        return sum(1 for each in self.records if each.exists.latest and "running" in each.desired.possible)

    def _some_env(self) -> list[Json]:
        number = f"{self._random.getrandbits(32):x}"
        more = [{"key": f"PLAIN_{n}", "value": number, "is_secret": False} for n in range(self._random.randrange(3))]
        # A secret is not read back; the number beside it tells which one it must be.
        secret = {"key": "SECRET", "value": secret_of(number), "is_secret": True}
        return [{"key": "NUMBER", "value": number, "is_secret": False}, *more, secret]


def secret_of(number: str) -> str:
    """The secret that goes with this value of NUMBER."""
    return f"planted-secret-value-{number}"


def _as_shown(env: list[Json]) -> dict[str, str]:
    """What the API shows of an environment: secrets are masked."""
    return {each["key"]: "******" if each["is_secret"] else each["value"] for each in env}
