"""What docs/monitoring has for Prometheus and Grafana, held to Prometheus's own tool (`PROMTOOL`).

That every metric they name is one that is exposed is tested in `src/metrics`, without it.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MONITORING = HERE.parents[1] / "docs" / "monitoring"
RULE_TESTS = sorted(HERE.glob("*.test.yml"))

Json = dict[str, Any]


def promtool(*arguments: object) -> str:
    command = [os.environ.get("PROMTOOL", "promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def panels() -> Iterator[Json]:
    dashboard: Json = json.loads((MONITORING / "dashboard.json").read_text())
    yield from dashboard["panels"]


def test_the_alerts_are_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", MONITORING / "alerts.yml")


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.name)
def test_the_alerts_come_when_they_must_and_not_otherwise(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_no_alert_is_untried() -> None:
    alerts = re.findall(r"^\s*- alert: (\w+)$", (MONITORING / "alerts.yml").read_text(), re.MULTILINE)
    assert len(alerts) > 10
    tried = "".join(file.read_text() for file in RULE_TESTS)
    assert [name for name in alerts if f'alertname="{name}"' not in tried] == []


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    text = (MONITORING / "prometheus.yml").read_text()
    for name in ("emcp-metrics-token", "emcp-ca.crt"):
        (tmp_path / name).write_text("x")
        text = text.replace(f"/etc/prometheus/{name}", name)
    (tmp_path / "alerts.yml").write_text((MONITORING / "alerts.yml").read_text())
    (tmp_path / "prometheus.yml").write_text(text)
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


def test_every_question_of_the_dashboard_is_one(tmp_path: Path) -> None:
    questions = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    assert len(questions) > 20
    rules = [
        {"record": f"question_{number}", "expr": question.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, question in enumerate(questions)
    ]
    # YAML has JSON in it.
    file = tmp_path / "questions.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboard_is_laid_out_and_asks_the_source_that_is_chosen() -> None:
    seen: set[int] = set()
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["id"] not in seen
        seen.add(panel["id"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"]), panel["title"]
