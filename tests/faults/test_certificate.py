"""A renewal of the operator's own certificate that is half done, or wrong: HTTPS goes on with the last good one."""

import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from harness import FaultPlatform, Json
from support.waits import until

NOTICE_DEADLINE_SECS = 30.0
MISMATCH = "is not that of the certificate"


@dataclass(frozen=True)
class Pair:
    """A certificate that is its own authority, and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Renewals:
    """What an operator's ACME client does, by hand."""

    platform: FaultPlatform
    cert: Path
    key: Path

    def copy(self, *, cert: Pair | None = None, key: Pair | None = None) -> None:
        if key is not None:
            shutil.copy(key.key, self.key)
        if cert is not None:
            shutil.copy(cert.cert, self.cert)

    def served(self) -> str:
        """What Traefik serves to whoever asks."""
        port = int(self.platform.public_url.rpartition(":")[2])
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=5).strip()

    def notices(self) -> dict[str, Json]:
        """What readiness says, by code. EMCP is ready all the time."""
        answer = httpx.get(f"{self.platform.internal_url}/readyz", timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text
        return {notice["code"]: notice for notice in answer.json()["notices"]}

    def wait_for(self, *codes: str) -> None:
        until(f"the notices {codes}", lambda: set(self.notices()) == set(codes), NOTICE_DEADLINE_SECS)


def make_pair(folder: Path, name: str, host: str = "localhost", days: int = 30) -> Pair:
    """With no days it has expired a second after it was made."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    asked = folder / f"{name}.csr"
    ask = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ask += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=CA:TRUE"]
    sign = ["openssl", "x509", "-req", "-in", str(asked), "-signkey", str(pair.key), "-copy_extensions", "copy"]
    for command in (
        [*ask, "-out", str(asked), "-keyout", str(pair.key)],
        [*sign, "-days", str(days), "-out", str(pair.cert)],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    return pair


def has_expired(pair: Pair) -> bool:
    look = ["openssl", "x509", "-checkend", "0", "-noout", "-in", str(pair.cert)]
    return subprocess.run(look, check=False, capture_output=True, timeout=30).returncode == 1


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Pair, Pair]:
    """The one in use, and its renewal."""
    return make_pair(tmp_path, "old"), make_pair(tmp_path, "new")


@pytest.fixture
def renewals(
    tmp_path: Path, pairs: tuple[Pair, Pair], new_platform: Callable[..., FaultPlatform]
) -> Renewals:
    """A platform that serves the first of the pairs."""
    old, new = pairs
    cert, key = tmp_path / "fullchain.pem", tmp_path / "key.pem"
    platform = new_platform(EMCP_TLS_CERT_FILE=str(cert), EMCP_TLS_KEY_FILE=str(key))
    made = Renewals(platform, cert, key)
    made.copy(cert=old, key=old)
    platform.prepare()
    platform.data_dir.mkdir()
    # Read by the drivers, which trust either; EMCP has no authority of its own here.
    (platform.data_dir / "ca.crt").write_text(old.cert.read_text() + new.cert.read_text())
    platform.start()
    return made


def test_a_half_done_renewal_changes_nothing_and_is_told_until_it_is_done(
    renewals: Renewals, pairs: tuple[Pair, Pair]
) -> None:
    old, new = pairs
    platform = renewals.platform
    assert renewals.served() == old.cert.read_text().strip()

    # The new key before the new chain: what took down all HTTPS.
    renewals.copy(key=new)
    renewals.wait_for("certificate_key_mismatch")
    assert platform.api.request("GET", "/healthz").is_success
    assert renewals.served() == old.cert.read_text().strip()
    notices = platform.api.call("GET", "/api/overview")["notices"]
    assert [notice["code"] for notice in notices] == ["certificate_key_mismatch"]
    assert MISMATCH in notices[0]["message"]

    # A restart in the middle of it is no outage.
    platform.stop_emcp()
    platform.start_emcp()
    platform.wait_ready()
    renewals.wait_for("certificate_key_mismatch")
    assert renewals.served() == old.cert.read_text().strip()
    # Once for each EMCP.
    assert platform.emcp_log.read_text().count(MISMATCH) == 2

    renewals.copy(cert=new)
    until("the new certificate", lambda: renewals.served() == new.cert.read_text().strip(), NOTICE_DEADLINE_SECS)
    renewals.wait_for()
    assert platform.api.request("GET", "/healthz").is_success


def test_a_certificate_that_clients_would_refuse_is_not_taken(
    renewals: Renewals, pairs: tuple[Pair, Pair], tmp_path: Path
) -> None:
    old, new = pairs
    expired = make_pair(tmp_path, "expired", days=0)
    until("it to expire", lambda: has_expired(expired), NOTICE_DEADLINE_SECS)
    for code, wrong in (
        ("certificate_wrong_host", make_pair(tmp_path, "elsewhere", host="elsewhere.example")),
        ("certificate_expired", expired),
    ):
        renewals.copy(cert=wrong, key=wrong)
        renewals.wait_for(code)
        assert renewals.served() == old.cert.read_text().strip()
    renewals.cert.write_text("no certificate")
    renewals.wait_for("certificate_unreadable")
    assert renewals.served() == old.cert.read_text().strip()
    renewals.copy(cert=new, key=new)
    until("the new certificate", lambda: renewals.served() == new.cert.read_text().strip(), NOTICE_DEADLINE_SECS)
    renewals.wait_for()
