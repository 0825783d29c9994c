"""The official MCP conformance suite: a run of it against one address, and what its scenarios found."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import E2E_DIR
from .toolchains import node, node_packages

RUN_TIMEOUT_SECS = 240
RESULT_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT")
# The worst word on a check, where one was made several times.
SEVERITY = ("FAILURE", "WARNING", "SKIPPED", "INFO", "SUCCESS")

# The suite asks again for a stream while the tool that ended it is at work, and the SDK can miss an answer that
# comes just as it hands over what it kept: then this is a warning, with EMCP and without.
RACED = "server-sse-disconnect-resume"

# Of each scenario, each check's verdict.
Results = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Suite:
    """One version of the suite and which of its scenarios to run."""

    name: str
    folder: str
    node_major: int
    options: tuple[str, ...]

    @property
    def version(self) -> str:
        manifest = json.loads((E2E_DIR / "conformance" / self.folder / "package.json").read_text())
        version: str = manifest["dependencies"]["@modelcontextprotocol/conformance"]
        return version

    def prepare(self) -> list[str]:
        """The command that runs it; what is missing is installed."""
        packages = node_packages(E2E_DIR / "conformance" / self.folder)
        program = packages / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
        return [str(node(self.node_major)), str(program), "server", *self.options]

    def run(self, command: list[str], url: str, folder: Path) -> Results:
        """Run all scenarios against one server. Its exit code tells only that something failed, which is looked at."""
        done = subprocess.run(
            [*command, "--url", url, "--output-dir", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_TIMEOUT_SECS,
        )
        (folder / "output.txt").write_text(done.stdout)
        results = {match[1]: _checks(path) for path in folder.iterdir() if (match := RESULT_FOLDER.match(path.name))}
        assert results, f"{self.name} {self.version} ran nothing against {url}:\n{done.stdout[-3000:]}"
        return results


def _checks(folder: Path) -> dict[str, str]:
    """A scenario that broke off has written nothing, and has failed."""
    written = folder / "checks.json"
    if not written.exists():
        return {"scenario": "FAILURE"}
    verdicts: dict[str, str] = {}
    checks: list[dict[str, Any]] = json.loads(written.read_text())
    for check in checks:
        known = verdicts.get(check["id"], "SUCCESS")
        verdicts[check["id"]] = min(known, check["status"], key=SEVERITY.index)
    return verdicts


def passes(checks: dict[str, str]) -> bool:
    return "FAILURE" not in checks.values()


def lost(directly: Results, through: Results) -> list[str]:
    """What holds directly and not through EMCP: scenarios, and single checks of those that fail either way."""
    found: list[str] = []
    for scenario, checks in directly.items():
        other = through.get(scenario, {"scenario": "FAILURE"})
        if passes(checks) and not passes(other):
            found.append(f"{scenario} fails")
        for check, verdict in checks.items():
            worse = other.get(check, "not made")
            if check == RACED and worse == "WARNING":
                continue
            if (verdict == "SUCCESS" and worse != "SUCCESS") or (verdict == "WARNING" and worse == "FAILURE"):
                found.append(f"{scenario}: {check} was {verdict} and is {worse}")
    return found
