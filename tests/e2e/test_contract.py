"""The API does what `/api/openapi.json` says: requests made up from the description, answers held against it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.running import Platform

CONTRACT_DIR = Path(__file__).parent / "contract"
# More in make soak.
EXAMPLES_PER_OPERATION = int(os.environ.get("EMCP_CONTRACT_EXAMPLES", "3"))


@pytest.mark.timeout(1200)
def test_the_api_keeps_to_its_description(new_platform: Callable[..., Platform], tmp_path: Path) -> None:
    # With all that is described.
    platform = new_platform(EMCP_METRICS_PUBLIC="on")
    base_url = platform.upstream_url
    environment = {
        **os.environ,
        "EMCP_TEST_TOKEN": platform.admin_token,
        "PYTHONPATH": str(CONTRACT_DIR),
        "SCHEMATHESIS_HOOKS": "contract_hooks",
    }
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONTRACT_DIR / "schemathesis.toml")),
        *("run", f"{base_url}/api/openapi.json", "--url", base_url),
        # A stream without end; test_dashboard_api.py reads it.
        *("--exclude-path", "/api/events/stream"),
        *("--max-examples", str(EXAMPLES_PER_OPERATION)),
        *("--generation-deterministic", "--no-color"),
    ]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    # A run that tested nothing passes too.
    assert "Tested: " in run.stdout and "Selected: 0/" not in run.stdout, run.stdout
    print(run.stdout[run.stdout.index("SUMMARY") :])
