"""Many starts at once: bounded, so that one machine does not do everything at once and nothing in time."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from support import settings
from support.owner import new_name
from support.running import Platform
from support.tap import EngineTap
from support.tiny import tiny_server

SERVERS = 8
TINY = tiny_server("ok")


def test_as_many_start_at_once_as_there_are_cores_and_all_of_them_come(new_platform: Callable[..., Platform]) -> None:
    with tempfile.TemporaryDirectory(prefix=new_name()) as directory:
        tap = EngineTap(Path(directory) / "docker.sock", settings.docker_host())
        try:
            api = new_platform(EMCP_DOCKER_HOST=tap.host).api
            for number in range(SERVERS):
                api.create(f"many-{number}", TINY, entry_object="app")
            for number in range(SERVERS):
                api.action(f"many-{number}", "start")
            for number in range(SERVERS):
                api.wait_for(f"many-{number}", "running")
            assert sum("/containers/create" in asked for asked in tap.asked()) == SERVERS, "each is made once"
            assert 1 <= tap.most_starts_at_once <= len(os.sched_getaffinity(0))
            # A changed variable waits for the next start unless that is asked for along with it.
            env = {"env": [{"key": "A", "value": "1", "is_secret": False}]}
            before = api.server("many-0")["container_id"]
            api.call("PUT", "/api/servers/many-0/env", json=env)
            waiting = api.server("many-0")
            assert (waiting["restart_needed"], waiting["container_id"]) == (True, before)
            api.call("PUT", "/api/servers/many-0/env", params={"restart": "true"}, json={"env": []})
            done = api.action("many-0", "start", wait_secs=60)
            assert (done["status"], done["restart_needed"]) == ("running", False)
            assert done["container_id"] != before
        finally:
            tap.close()
