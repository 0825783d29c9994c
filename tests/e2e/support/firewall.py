"""The servers' firewall for one platform under test: the real script, in chains that only tests use."""

import os
import re
import subprocess

from .owner import is_ours, owner_lives
from .settings import REPO_DIR

SCRIPT = REPO_DIR / "scripts" / "firewall.sh"
MARK = re.compile(r"emcp\.instance=([\w.-]+)")


def can_install() -> bool:
    return os.geteuid() == 0


def firewall(action: str, instance: str, **settings: str) -> str:
    """Run `scripts/firewall.sh ACTION` for this instance alone; what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EMCP_")}
    environment |= {"EMCP_INSTANCE": instance, "EMCP_FIREWALL_PREFIX": "EMCP-TEST", **settings}
    done = subprocess.run([SCRIPT, action], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"firewall.sh {action}: {done.stdout}{done.stderr}"
    return done.stdout


def rules() -> list[str]:
    """All rules of the machine's filter table."""
    done = subprocess.run(["iptables", "-w", "10", "-S"], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def remove_rules_of_dead_runs() -> list[str]:
    """Remove rules that runs which were killed have left."""
    if not can_install():
        return []
    instances = {match[1] for match in map(MARK.search, rules()) if match and is_ours(match[1])}
    dead = sorted(instance for instance in instances if not owner_lives(instance))
    for instance in dead:
        firewall("remove", instance)
    return dead
