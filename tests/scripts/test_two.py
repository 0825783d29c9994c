"""Two installations on one machine, one of which goes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from installation import Installation, images
from support.docker import docker, remove_containers
from support.firewall import can_install, rules


def test_cleaning_one_leaves_the_other_whole(new_installation: Callable[..., Installation]) -> None:
    # Only root may have a firewall.
    firewall = "on" if can_install() else "off"
    stays, goes = new_installation(EMCP_FIREWALL=firewall), new_installation(EMCP_FIREWALL=firewall)
    with ThreadPoolExecutor() as both:
        for each in [both.submit(installation.up) for installation in (stays, goes)]:
            each.result()
    before = stays.parts()
    assert goes.parts() and stays.answers() and goes.answers()
    # Somebody else's container runs from an image that is to go.
    kept = f"emcp-sockets:{goes.instance}-1"
    foreign = docker("run", "--detach", "--entrypoint", "sleep", kept, "600")
    try:
        cleaned = goes.make("clean")
    finally:
        remove_containers([foreign])
    assert cleaned.status == 0, cleaned.shown
    assert "kept, because others use them" in cleaned.shown and kept in cleaned.shown
    assert not goes.parts()
    assert not rules_of(goes)
    assert [name for name in images() if goes.instance in name] == [kept]
    assert goes.data_dir.exists()
    # The other has everything.
    assert stays.parts() == before and stays.answers()
    assert bool(rules_of(stays)) == can_install()
    assert len([name for name in images() if stays.instance in name]) == 4
    stays.make("down")
    assert not stays.parts()


@pytest.mark.parametrize("setting", ["EMCP_DATA_DIR", "EMCP_NETWORK"])
def test_what_belongs_to_another_is_not_taken(new_installation: Callable[..., Installation], setting: str) -> None:
    first, second = new_installation(), new_installation()
    # A container of the first is there, though none of it runs.
    label = f"emcp.platform={first.instance}"
    mount = f"{first.data_dir}:{first.data_dir}"
    first.data_dir.mkdir()
    docker("create", "--label", label, "--volume", mount, "--name", first.instance, "python:3.11-slim")
    taken = {"EMCP_DATA_DIR": str(first.data_dir), "EMCP_NETWORK": first.network.name}[setting]
    refused = second.make("up", **{setting: taken})
    assert refused.status != 0
    assert f"belongs to the installation {first.instance}" in refused.shown and setting in refused.shown


def rules_of(installation: Installation) -> list[str]:
    subnet = installation.network.subnet.partition("/")[0]
    return [rule for rule in rules() if subnet in rule or installation.instance in rule] if can_install() else []
