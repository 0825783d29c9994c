"""What the callers of EMCP were told, and so what must be true of each server afterwards.

An answer of 2xx makes a write certain. A call that was cut off may have been taken or not, so what it
would have changed has two possible values until EMCP is asked again.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx
from harness import Json

T = TypeVar("T")


@dataclass
class Facet(Generic[T]):
    """One thing about a server: all values it may have."""

    possible: list[T]

    def is_now(self, value: T) -> None:
        self.possible = [value]

    def may_be(self, value: T) -> None:
        if value not in self.possible:
            self.possible.append(value)

    @property
    def latest(self) -> T:
        return self.possible[-1]

    def settle(self, what: str, value: T) -> None:
        """Take note of the value it has; it must be one of the possible ones."""
        assert value in self.possible, f"{what} is {value!r}, but what was acknowledged allows only {self.possible!r}"
        self.possible = [value]


@dataclass(frozen=True)
class Code:
    """The version in use and all versions before it, as their digests."""

    digests: tuple[str, ...]

    def then(self, text: str) -> "Code":
        return Code((*self.digests, digest(text)))


@dataclass
class Record:
    """One server, as its only caller knows it."""

    name: str
    id: str | None
    # A server that was being created or deleted when EMCP died may be there or not.
    exists: Facet[bool]
    desired: Facet[str]
    env: Facet[dict[str, str]]
    code: Facet[Code]
    description: Facet[str]
    # When the last acknowledged call that makes a new container began, in seconds since the epoch.
    new_container_after: float = 0.0
    history: list[str] = field(default_factory=list)

    def compare(self, http: httpx.Client, found: Json | None) -> None:
        """Check what EMCP says of the server against what it acknowledged, and go on from there."""
        try:
            self.exists.settle("whether it exists", found is not None)
            if found is None:
                return
            if self.id is None:
                self.id = found["id"]
            assert found["id"] == self.id, f"its id is {found['id']}, not {self.id}"
            self.desired.settle("what is wanted", found["desired"])
            self.description.settle("its description", found["description"])
            self.env.settle("its environment", self._env(http))
            self.code.settle("its code", self._code(http, found["version"]))
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}\nits calls:\n" + "\n".join(self.history)) from None

    def _env(self, http: httpx.Client) -> dict[str, str]:
        variables: list[Json] = http.get(f"/api/servers/{self.id}/env").raise_for_status().json()["env"]
        return {each["key"]: each["value"] for each in variables}

    def _code(self, http: httpx.Client, version: int) -> Code:
        """The versions as recorded; the file in use is read, and must be the recorded one."""
        versions: list[Json] = http.get(f"/api/servers/{self.id}/versions").raise_for_status().json()["versions"]
        text = http.get(f"/api/servers/{self.id}/code").raise_for_status().text
        recorded = {each["number"]: each["sha256"] for each in versions}
        assert recorded[version] == digest(text), f"the code of version {version} is not what was uploaded"
        assert version == max(recorded), f"version {version} is in use, the newest is {max(recorded)}"
        return Code(tuple(recorded[number] for number in sorted(recorded)))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
