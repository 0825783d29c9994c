"""Every file in `examples/` deploys as it is and does what its README row says."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.api import Api
from support.clients import ClientDriver
from support.settings import REPO_DIR

Json = dict[str, Any]

EXAMPLES = {path.stem: path for path in sorted((REPO_DIR / "examples").glob("*.py"))}
# What an example's README row asks the user to set.
FIELDS: dict[str, dict[str, str]] = {
    "ticket_desk": {"entry_object": "app"},
    "webhook_signer": {"env": '[{"key": "SIGNING_SECRET", "value": "example-secret", "is_secret": true}]'},
}


@pytest.fixture(scope="module")
def started(api: Api) -> Iterator[None]:
    """All examples, started together."""
    for name, path in EXAMPLES.items():
        api.create(server_name(name), path, start="true", **FIELDS.get(name, {}))
    yield
    for name in EXAMPLES:
        api.delete(server_name(name))


def test_there_are_enough_examples() -> None:
    assert len(EXAMPLES) >= 8


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_lists_its_tools(
    api: Api, drivers: dict[str, ClientDriver], admin_headers: dict[str, str], example: str
) -> None:
    server = api.wait_for(server_name(example), "running")
    report = drivers["typescript-1"].run(
        f"{api.public_url}/api/{server['name']}", "http", admin_headers, [{"op": "list_tools"}]
    )
    tools = report.value(0)["tools"]
    assert tools
    assert all(tool.get("description") for tool in tools), "an example's tools must explain themselves"


@pytest.mark.usefixtures("started")
def test_the_rest_api_of_an_asgi_example_is_reachable(api: Api, admin_headers: dict[str, str]) -> None:
    api.wait_for("ticket-desk", "running")
    answer = api.request("GET", "/api/ticket-desk/tickets", headers=admin_headers)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), list)


def server_name(example: str) -> str:
    return example.replace("_", "-")
