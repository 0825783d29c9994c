"""`make up` on a machine where EMCP serves already: what changes, what must not, and what comes back."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import Installation
from support.docker import docker, inspect
from support.settings import docker_host
from support.waits import until

DEADLINE_SECS = 60

# It says that it would start, and ends when it is told to: a build that was not tried. It takes the database over
# before, as one does that has a newer format.
BROKEN_EMCP = """#!/bin/sh
[ "$1" = serve ] || exec echo emcp 9.9.9
database=$EMCP_DATA_DIR/emcp.redb
if [ "$2" != --check ]; then
  [ -e "$database.before-upgrade" ] || cp "$database" "$database.before-upgrade"
  echo "of a newer format" >"$database"
  exit 3
fi
echo "EMCP would start with these settings"
echo "traefik-config: $EMCP_TEST_DIGEST"
"""


@pytest.fixture(scope="module")
def installed(new_installation: Callable[..., Installation]) -> Iterator[Installation]:
    installation = new_installation()
    installation.up()
    yield installation


@pytest.fixture
def serving(installed: Installation) -> Installation:
    """It serves with the settings of the last run that went well, whatever a test has broken since."""
    installed.write_settings(*installed.good_settings)
    assert installed.answers()
    return installed


def test_a_second_run_brings_back_what_was_killed_and_replaces_nothing(serving: Installation) -> None:
    before = serving.parts()
    assert set(before) == {"", "-broker", "-sockets", "-traefik"}
    traefik = before.pop("-traefik").partition(" ")[0]
    docker("kill", f"{serving.instance}-traefik")
    told = "Traefik has stopped fetching its routes"
    command = ["docker", "--host", docker_host(), "logs", serving.instance]
    until("EMCP to say so", lambda: told in subprocess.run(command, capture_output=True, text=True).stderr, DEADLINE_SECS)
    assert not serving.answers()
    serving.write_settings(f"EMCP_INSTANCE={serving.instance}", "EMCP_NETWROK=mcp-net")
    shown = serving.up()
    after = serving.parts()
    assert after.pop("-traefik").partition(" ")[0] == traefik
    assert after == before and serving.answers()
    assert "streams" not in shown
    assert "nothing knows the setting EMCP_NETWROK" in shown and "EMCP_INSTANCE;" not in shown


def test_a_changed_template_of_traefiks_takes_effect(serving: Installation) -> None:
    before = serving.parts()
    template, shipped = serving.template()
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
    assert '"level":"debug"' not in docker("logs", f"{serving.instance}-traefik")
    # EMCP's settings are as before, so it stays.
    assert serving.parts()[""] == after[""]


def test_servers_get_a_host_of_their_own(serving: Installation) -> None:
    before = serving.parts()
    url = f"https://mcp-servers.test:{serving.public_url.rsplit(':', 1)[1]}"
    serving.write_settings(f"EMCP_SERVERS_URL={url}/")
    # It asks by that name, with the certificate verified, before it says that EMCP is up.
    shown = serving.up()
    assert f"MCP servers   {url}/api/NAME/mcp" in shown
    assert serving.parts()["-traefik"] == before["-traefik"]
    api = serving.api()
    assert api.call("GET", "/api/settings")["servers_url"] == f"{url}/"
    api.close()
    serving.write_settings("EMCP_SERVERS_URL=https://localhost:1")
    ran = serving.make("up")
    assert ran.status != 0
    assert "EMCP_SERVERS_URL" in ran.shown and "cookies know no ports" in ran.shown, ran.shown
    assert serving.answers()


def test_a_template_that_traefik_refuses_costs_nothing(serving: Installation) -> None:
    before = serving.parts()
    template, shipped = serving.template()
    template.write_text(shipped.replace("pollTimeout: 10s", "pollTimeout: banana"))
    serving.write_settings(f"EMCP_TRAEFIK_TEMPLATE={template}")
    ran = serving.make("up")
    assert ran.status != 0
    assert "banana" in ran.shown and "EMCP serves as before" in ran.shown, ran.shown
    # It was never replaced: streams go on.
    assert serving.parts()["-traefik"] == before["-traefik"]
    assert serving.answers()
    # Nor does a restart meet the one that is wrong.
    docker("restart", f"{serving.instance}-traefik")
    until("Traefik to be back", serving.answers, DEADLINE_SECS)
    template.write_text(shipped)


def test_a_mistake_in_a_setting_touches_nothing(serving: Installation) -> None:
    before, image = serving.parts(), serving.image()
    serving.write_settings("EMCP_WRONG_TOKENS_PER_MINUTE=0", "EMCP_PUBLIC_URL=http://localhost")
    ran = serving.make("up")
    assert ran.status != 0
    assert "EMCP_WRONG_TOKENS_PER_MINUTE" in ran.shown and "EMCP_PUBLIC_URL" in ran.shown, ran.shown
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
    assert "5000" not in docker("container", "inspect", "--format", "{{.Config.Env}}", serving.instance)
    after = serving.parts()
    assert after["-traefik"] == before["-traefik"] and after["-sockets"] == before["-sockets"]
    assert serving.answers()
    # What the broken one made of the database is put aside.
    data = serving.data_dir
    assert (data / "emcp.redb.upgraded").read_text() == "of a newer format\n"
    assert not (data / "emcp.redb.before-upgrade").exists()
    # The name that Compose by hand would use leads to it as well.
    assert docker("image", "inspect", "--format", "{{.Id}}", f"emcp:{serving.instance}-local") == image


def test_a_certificate_of_an_unknown_ca_is_taken_and_a_file_of_settings_too(serving: Installation) -> None:
    make_certificate(serving.data_dir)
    file = serving.data_dir / "emcp.toml"
    file.write_text("max_code_bytes = 4321\n")
    serving.write_settings(
        f"EMCP_CONFIG={file}",
        f"EMCP_TLS_CERT_FILE={serving.data_dir}/chain.pem",
        f"EMCP_TLS_KEY_FILE={serving.data_dir}/key.pem",
    )
    shown = serving.up()
    assert "this machine does not trust the CA" in shown
    company = serving.data_dir / "company-ca.pem"
    assert serving.answers(company)
    api = serving.api(company)
    code = {"file": ("server.py", b"#" * 5000)}
    large = api.request("POST", "/api/servers", data={"name": "large"}, files=code)
    api.close()
    assert large.status_code == 413, large.text


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
