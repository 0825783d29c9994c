"""`make up` on a machine where EMCP serves already: what changes, what must not, and what comes back."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import Installation
from support.docker import docker, inspect

# It says that it would start, and ends when it is told to: a build that was not tried.
BROKEN_EMCP = """#!/bin/sh
[ "$1" = serve ] || exec echo emcp 9.9.9
[ "$2" = --check ] || exit 3
echo "EMCP would start with these settings"
echo "traefik-config: $EMCP_TEST_DIGEST"
"""


@pytest.fixture(scope="module")
def installed(new_installation: Callable[..., Installation]) -> Iterator[Installation]:
    installation = new_installation()
    installation.up()
    yield installation


@pytest.fixture
def serving(installed: Installation) -> Iterator[Installation]:
    """It serves with what it was installed with, and each test leaves it so."""
    installed.write_settings()
    assert installed.answers()
    yield installed
    installed.write_settings()


def test_a_second_run_replaces_nothing(serving: Installation) -> None:
    before = serving.parts()
    assert set(before) == {"", "-sockets", "-traefik"}
    serving.write_settings(f"EMCP_INSTANCE={serving.instance}", "EMCP_NETWROK=mcp-net")
    shown = serving.up()
    assert serving.parts() == before
    assert "streams" not in shown
    assert "nothing knows the setting EMCP_NETWROK" in shown and "EMCP_INSTANCE;" not in shown


def test_a_changed_template_of_traefiks_takes_effect(serving: Installation) -> None:
    before = serving.parts()
    template = serving.data_dir / "template.yml"
    shipped = (serving.checkout / "traefik/traefik.yml").read_text()
    template.write_text(shipped.replace("level: INFO", "level: DEBUG"))
    serving.write_settings(f"EMCP_TRAEFIK_TEMPLATE={template}")
    shown = serving.up()
    assert "Traefik is replaced, which ends open streams" in shown
    after = serving.parts()
    assert after["-traefik"] != before["-traefik"] and after["-sockets"] == before["-sockets"]
    assert '"level":"debug"' in docker("logs", f"{serving.instance}-traefik")
    assert serving.answers()
    # The same file with other contents: to Compose nothing has changed.
    template.write_text(shipped)
    shown = serving.up()
    assert "Traefik is replaced" in shown
    assert serving.parts()["-traefik"] != after["-traefik"]
    # EMCP's settings are as before, so it stays.
    assert serving.parts()[""] == after[""]
    serving.write_settings()
    serving.up()


def test_a_template_that_traefik_refuses_costs_nothing(serving: Installation) -> None:
    before = serving.parts()
    template = serving.data_dir / "template.yml"
    shipped = (serving.checkout / "traefik/traefik.yml").read_text()
    template.write_text(shipped + "\nentrypoynts: {}\n")
    serving.write_settings(f"EMCP_TRAEFIK_TEMPLATE={template}")
    ran = serving.make("up")
    assert ran.status != 0
    assert "entrypoynts" in ran.shown and "EMCP serves as before" in ran.shown
    # It was never replaced: streams go on.
    assert serving.parts()["-traefik"] == before["-traefik"]
    assert serving.answers()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("EMCP_WRONG_TOKENS_PER_MINUTE=0", "EMCP_WRONG_TOKENS_PER_MINUTE"),
        ("EMCP_MAX_CODE_BYTES=1MB", "--max-code-bytes"),
        ("EMCP_PUBLIC_URL=http://localhost", "EMCP_PUBLIC_URL"),
        ("EMCP_MASTER_KEY_FILE=/nowhere/master.key", "/nowhere/master.key"),
        ("EMCP_CONFIG=/nowhere/emcp.toml", "/nowhere/emcp.toml"),
    ],
)
def test_a_mistake_in_a_setting_touches_nothing(serving: Installation, wrong: str, named: str) -> None:
    before, image = serving.parts(), serving.image()
    serving.write_settings(wrong)
    ran = serving.make("up")
    assert ran.status != 0 and named in ran.shown, ran.shown
    assert "nothing was changed" in ran.shown
    assert (serving.parts(), serving.image()) == (before, image)
    assert serving.answers()


def test_an_emcp_that_does_not_start_gives_way_to_the_one_before(serving: Installation, tmp_path: Path) -> None:
    before, image = serving.parts(), serving.image()
    broken = tmp_path / "emcp"
    label = inspect(f"{serving.instance}-traefik")["Config"]["Labels"]["emcp.traefik-config"]
    broken.write_text(BROKEN_EMCP.replace("$EMCP_TEST_DIGEST", label))
    broken.chmod(0o755)
    # With a setting of its own, which goes back too.
    serving.write_settings("EMCP_AUDIT_MAX_ENTRIES=5000")
    ran = serving.make("up", EMCP_BINARY=str(broken))
    assert ran.status != 0
    assert "EMCP serves as before" in ran.shown, ran.shown
    assert serving.image() == image
    variables: list[str] = inspect(serving.instance)["Config"]["Env"]
    assert not [each for each in variables if each.startswith("EMCP_AUDIT_MAX_ENTRIES=5000")]
    after = serving.parts()
    assert after["-traefik"] == before["-traefik"] and after["-sockets"] == before["-sockets"]
    assert serving.answers()
    # The name that Compose by hand would use leads to it as well.
    assert docker("image", "inspect", "--format", "{{.Id}}", f"emcp:{serving.instance}-local") == image


def test_a_certificate_of_a_ca_that_this_machine_does_not_know_is_taken(serving: Installation) -> None:
    make_certificate(serving.data_dir)
    serving.write_settings(
        f"EMCP_TLS_CERT_FILE={serving.data_dir}/chain.pem", f"EMCP_TLS_KEY_FILE={serving.data_dir}/key.pem"
    )
    shown = serving.up()
    assert "this machine does not trust the CA" in shown
    assert serving.answers(serving.data_dir / "company-ca.pem")
    serving.write_settings()
    serving.up()


def test_settings_may_be_in_a_file(serving: Installation) -> None:
    file = serving.data_dir / "emcp.toml"
    file.write_text("max_code_bytes = 4321\n")
    serving.write_settings(f"EMCP_CONFIG={file}")
    serving.up()
    api = serving.api()
    large = api.request("POST", "/api/servers", data={"name": "large"}, files={"file": ("server.py", b"#" * 5000)})
    api.close()
    assert large.status_code == 413, large.text
    serving.write_settings()
    serving.up()


def make_certificate(folder: Path) -> None:
    """As a company's CA gives one: a chain without its root, and the root for those who are to trust it."""
    for arguments in (
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=company", "-days", "2",
         "-keyout", "company-key.pem", "-out", "company-ca.pem"],
        ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", "-CA", "company-ca.pem", "-CAkey", "company-key.pem", "-CAcreateserial",
         "-days", "2", "-extfile", "names.txt", "-out", "chain.pem"],
    ):  # fmt: skip
        (folder / "names.txt").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
