"""The story of a first user, from a Python file on a laptop to a deleted server."""

import hashlib
import hmac
from datetime import datetime, timezone
from pathlib import Path

from support.api import Api, Json
from support.clients import ClientDriver, bearer
from support.docker import containers
from support.running import Platform
from support.streams import knock
from support.waits import until

GREETER = '''\
import hashlib
import hmac
import os

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Greeter")


@mcp.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    print(f"greeting {name}")
    return f"{os.environ.get('GREETING', 'Hello')}, {name}!"


@mcp.tool()
def sign(text: str) -> str:
    """Sign a text with the team's key."""
    return hmac.new(os.environ["SIGNING_KEY"].encode(), text.encode(), hashlib.sha256).hexdigest()
'''
ANSWERED_WITHIN_SECS = 10.0
SIGNING_KEY = "first-user-signing-key-d41d8cd98f"


def test_a_file_becomes_a_live_url_and_goes_again(
    platform: Platform, drivers: dict[str, ClientDriver], tmp_path: Path
) -> None:
    api = platform.api
    file = tmp_path / "greeter.py"
    file.write_text(GREETER)

    # Upload. Nothing runs yet.
    server = api.create("greeter", file, description="Greets people")
    assert (server["name"], server["status"], server["desired"]) == ("greeter", "stopped", "stopped")
    assert server["urls"]["sse"] == f"{platform.public_url}/api/greeter/sse"
    assert server["urls"]["mcp"] == f"{platform.public_url}/api/greeter/mcp"

    # Start, and wait in the call itself.
    server = api.action("greeter", "start", wait_secs=60)
    assert server["status"] == "running", server
    assert secs_since(server["since"]) < ANSWERED_WITHIN_SECS, "the call waits no longer than it must"

    # Connect and call, with a token for this server only.
    token = api.connect_token("first-user", ["greeter"])
    assert _call(api, drivers, token, "greet", {"name": "Ada"}) == "Hello, Ada!"

    # Its output is in its log.
    until("the greeting to be logged", lambda: "greeting Ada" in api.log("greeter", tail="20"), 30)

    # A variable and a secret; they take effect with the next start.
    variables: list[Json] = [
        {"key": "GREETING", "value": "Hej", "is_secret": False},
        {"key": "SIGNING_KEY", "value": SIGNING_KEY, "is_secret": True},
    ]
    api.set_env("greeter", variables)
    assert api.server("greeter")["restart_needed"] is True
    assert _call(api, drivers, token, "greet", {"name": "Ada"}) == "Hello, Ada!"
    server = api.action("greeter", "restart", wait_secs=60)
    assert (server["status"], server["restart_needed"]) == ("running", False)
    assert secs_since(server["since"]) < ANSWERED_WITHIN_SECS
    assert _call(api, drivers, token, "greet", {"name": "Ada"}) == "Hej, Ada!"

    # The tool uses the secret; the API masks it.
    signature = hmac.new(SIGNING_KEY.encode(), b"contract", hashlib.sha256).hexdigest()
    assert _call(api, drivers, token, "sign", {"text": "contract"}) == signature
    shown = {variable["key"]: variable["value"] for variable in api.call("GET", "/api/servers/greeter/env")["env"]}
    assert shown == {"GREETING": "Hej", "SIGNING_KEY": "******"}

    # Stopped: the URL stays and says when to come back.
    server = api.action("greeter", "stop", wait_secs=30)
    assert (server["status"], server["desired"]) == ("stopped", "stopped")
    assert secs_since(server["since"]) < ANSWERED_WITHIN_SECS
    answer = knock(api, "greeter", bearer(token))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "server_stopped"

    # Deleted: nothing of it is left.
    server_dir = platform.data_dir / server["id"]
    assert server_dir.is_dir()
    api.delete("greeter")
    assert api.request("GET", "/api/servers/greeter").status_code == 404
    # The route goes with the next configuration that Traefik fetches; a valid token still sees 404 at once.
    assert knock(api, "greeter", bearer(platform.admin_token)).status_code == 404
    until("its container to go", lambda: server["container_id"] not in containers(platform.instance), 15)
    until("its files to go", lambda: not server_dir.exists(), 15)


def secs_since(timestamp: str) -> float:
    return (datetime.now(timezone.utc) - datetime.fromisoformat(timestamp)).total_seconds()


def _call(api: Api, drivers: dict[str, ClientDriver], token: str, tool: str, arguments: Json) -> str:
    steps: list[Json] = [{"op": "call_tool", "name": tool, "arguments": arguments}]
    report = drivers["python-1"].run(f"{api.public_url}/api/greeter", "sse", bearer(token), steps)
    text: str = report.value(0)["content"][0]["text"]
    return text
