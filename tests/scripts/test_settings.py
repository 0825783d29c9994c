"""Mistakes in settings are told in words, before anything is done."""

import re
from pathlib import Path

import pytest
from bash import SCRIPTS, caller, run
from support.settings import REPO_DIR, emcp_bin

WRONG = {
    "no subnet": ({"EMCP_SUBNET": "banana"}, "EMCP_SUBNET is not an IPv4 subnet"),
    "an address": ({"EMCP_SUBNET": "10.1.2.3"}, "EMCP_SUBNET is not an IPv4 subnet"),
    "a byte too large": ({"EMCP_SUBNET": "10.300.0.0/20"}, "EMCP_SUBNET is not an IPv4 subnet"),
    "a length too large": ({"EMCP_SUBNET": "10.1.0.0/40"}, "EMCP_SUBNET is not an IPv4 subnet"),
    "a second that is none": ({"EMCP_INTERNAL_SUBNET": "$(reboot)"}, "EMCP_INTERNAL_SUBNET is not an IPv4 subnet"),
    "no second to be derived": ({"EMCP_SUBNET": "10.0.0.0/9"}, "EMCP_INTERNAL_SUBNET="),
    "two sizes": ({"EMCP_SUBNET": "10.1.0.0/20", "EMCP_INTERNAL_SUBNET": "10.2.0.0/24"}, "must be of the same size"),
    "an instance": ({"EMCP_INSTANCE": "../x"}, "EMCP_INSTANCE must be"),
}


@pytest.mark.parametrize(("settings", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_is_told_in_words(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    script = caller(tmp_path / "up.sh", "check_subnets", "echo went on")
    ran = run([script], tmp_path, **settings)
    assert ran.returncode == 1 and told in ran.stdout, ran.stdout
    # In words alone: nothing of bash's own, and nothing after it.
    assert "line " not in ran.stdout and "went on" not in ran.stdout, ran.stdout


@pytest.mark.parametrize("script", ["up.sh", "firewall.sh"])
def test_the_scripts_ask(tmp_path: Path, script: str) -> None:
    ran = run([SCRIPTS / script, "show"], tmp_path, EMCP_SUBNET="banana", EMCP_BINARY="/bin/true", EMCP_INSTALL="no")
    assert ran.returncode == 1 and "is not an IPv4 subnet" in ran.stdout or "cannot be changed" in ran.stdout


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"EMCP_MAX_CODE_BYTES": "1MB"}, "--max-code-bytes"),
        ({"EMCP_SUBNET": "banana"}, "EMCP_SUBNET"),
        ({"EMCP_MASTER_KEY_FILE": "/nowhere/master.key"}, "/nowhere/master.key"),
        ({"EMCP_TRAEFIK_TEMPLATE": "/nowhere/template.yml"}, "/nowhere/template.yml"),
        ({"EMCP_CONFIG": "/nowhere/emcp.toml"}, "/nowhere/emcp.toml"),
    ],
)
def test_emcp_names_what_it_would_not_start_with(tmp_path: Path, wrong: dict[str, str], named: str) -> None:
    check = [emcp_bin(), "serve", "--check"]
    right = run(check, tmp_path, EMCP_DATA_DIR=str(tmp_path / "data"))
    assert right.returncode == 0 and "would start" in right.stdout, right.stdout
    refused = run(check, tmp_path, EMCP_DATA_DIR=str(tmp_path / "data"), **wrong)
    assert refused.returncode != 0 and named in refused.stdout, refused.stdout
    assert not (tmp_path / "data").exists()


def test_what_belongs_to_an_installation_carries_its_name(tmp_path: Path) -> None:
    show = 'echo "$EMCP_NETWORK $EMCP_IMAGE $GOOD_IMAGE $SOCKETS_IMAGE $BASE_TAG $EMCP_BASE_IMAGE"'
    script = caller(tmp_path / "up.sh", show, sources=("host", "engine", "images"))
    names = {name: run([script], tmp_path, EMCP_INSTANCE=name).stdout.split() for name in ("emcp", "a", "a-1", "local")}
    # As they have always been called.
    assert names["emcp"] == ["mcp-net", "emcp:local", "emcp:good", "emcp-sockets:1", *["corp/mcp-base:latest"] * 2]
    for position in range(len(names["emcp"])):
        assert len({each[position] for each in names.values()}) == len(names)


def test_what_compose_takes_from_the_environment_is_emcps() -> None:
    """The settings that make up goes back to are those with this beginning."""
    text = (REPO_DIR / "compose/compose.yml").read_text()
    taken = set(re.findall(r"\$\{([A-Za-z_0-9]+)", text)) | set(re.findall(r"^ +([A-Z_0-9]+):\s*$", text, re.MULTILINE))
    assert taken and all(name.startswith("EMCP_") for name in taken), taken
