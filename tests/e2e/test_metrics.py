"""Metrics as a Prometheus outside the network reads them: through Traefik, by a token of their own."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.api import TRUSTS_NOBODY
from support.clients import bearer
from support.running import Platform
from support.streams import knock
from support.tiny import tiny_server
from support.waits import until

MONITORING = Path(__file__).resolve().parents[1] / "monitoring"
PAGES = ("/metrics", "/metrics/traefik")
DEADLINE_SECS = 60.0


@pytest.fixture(scope="module")
def platform(new_platform: Callable[..., Platform]) -> Platform:
    """One whose metrics are wanted outside."""
    return new_platform(EMCP_METRICS_PUBLIC="on")


@pytest.fixture(scope="module")
def token(platform: Platform) -> str:
    file = platform.data_dir / "metrics-token"
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text().strip()


def ask(platform: Platform, page: str, token: str | None) -> httpx.Response:
    headers = bearer(token) if token else {}
    return platform.api_as(None).request("GET", page, headers=headers)


def scrape(platform: Platform, page: str, token: str) -> dict[str, float]:
    """The value of each series."""
    answer = ask(platform, page, token)
    assert answer.status_code == 200, answer.text[:500]
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    pairs = [line.rsplit(" ", 1) for line in lines]
    series = {name: float(value) for name, value in pairs}
    assert len(series) == len(pairs), "a series is there twice"
    return series


def total(series: dict[str, float], name: str, *labels: str) -> float:
    """The sum of what has this name and these labels."""
    return sum(
        value
        for key, value in series.items()
        if key.split("{")[0] == name and all(label in key for label in labels)
    )


@pytest.mark.parametrize("page", PAGES)
def test_who_has_not_the_metrics_token_reads_nothing(platform: Platform, token: str, page: str) -> None:
    connect = platform.api.connect_token(f"not-for{page.replace('/', '-')}", None)
    for shown, status in ((None, 401), ("wrong", 401), (token[:-1], 401), (platform.admin_token, 403), (connect, 403)):
        answer = ask(platform, page, shown)
        assert answer.status_code == status, answer.text[:300]
        assert "emcp_build" not in answer.text
        assert "traefik_config" not in answer.text
    # Not by way of a query, a cookie or another method either.
    assert platform.api_as(None).request("GET", f"{page}?key={token}").status_code == 401
    assert platform.api_as(None).request("POST", page, headers=bearer(token)).status_code in (404, 405)


def test_nobody_reads_them_in_clear_text(platform: Platform, token: str) -> None:
    for page in PAGES:
        answer = httpx.get(f"{platform.http_url}{page}", headers=bearer(token), verify=TRUSTS_NOBODY, trust_env=False)
        assert answer.status_code == 400, answer.text[:300]
        assert answer.json()["error"]["code"] == "token_in_clear_text"
        bare = httpx.get(f"{platform.http_url}{page}", verify=TRUSTS_NOBODY, trust_env=False)
        assert bare.is_redirect


def test_the_token_is_for_metrics_alone(platform: Platform, token: str) -> None:
    assert ask(platform, "/api/servers", token).status_code == 401
    assert ask(platform, "/api/settings", token).status_code == 401


def test_what_happens_is_measured(platform: Platform, token: str) -> None:
    api = platform.api
    before = scrape(platform, "/metrics", token)
    traefik_before = scrape(platform, "/metrics/traefik", token)
    api.create("measured", tiny_server(), entry_object="app", start="true")
    api.create("broken", "raise SystemExit(3)\n", start="true")
    api.wait_for("measured", "running")
    api.wait_for("broken", "error")
    headers = bearer(platform.admin_token)
    until("the server to be reached", lambda: knock(api, "measured", headers).status_code == 200, DEADLINE_SECS)
    assert knock(api, "measured", {}).status_code == 401

    after = scrape(platform, "/metrics", token)
    assert after['emcp_server_status{server="measured",status="running"}'] == 1
    assert after['emcp_server_status{server="broken",status="error"}'] == 1
    assert after['emcp_servers{status="running"}'] == 1

    def grew(name: str, *labels: str) -> float:
        return total(after, name, *labels) - total(before, name, *labels)

    assert grew("emcp_server_start_duration_seconds_count", 'outcome="ready"') == 1
    assert grew("emcp_server_start_duration_seconds_count", 'outcome="failed"') >= 1
    assert grew("emcp_server_failures_total") >= 1
    assert grew("emcp_gate_duration_seconds_count", 'outcome="allowed"') >= 1
    assert grew("emcp_gate_decisions_total", 'verdict="unauthenticated"') == 1
    assert grew("emcp_http_request_duration_seconds_count", 'route="/api/servers"', 'method="POST"') == 2
    assert grew("emcp_engine_call_duration_seconds_count", 'call="run"', 'outcome="ok"') >= 2
    assert grew("emcp_reconcile_step_duration_seconds_count", 'step="create"') >= 2
    assert grew("emcp_store_commit_duration_seconds_count", 'outcome="ok"') > 4
    assert after["emcp_data_dir_free_bytes"] > 0
    assert after["emcp_certificate_end_timestamp_seconds"] > after["emcp_start_timestamp_seconds"] > 0
    assert after["emcp_traefik_in_service"] == 1

    traefik_after = scrape(platform, "/metrics/traefik", token)
    answered = "traefik_entrypoint_requests_total"
    calls = total(traefik_after, answered, 'entrypoint="websecure"') - total(traefik_before, answered, 'entrypoint="websecure"')
    assert calls >= 4
    # Names of servers are for who reads EMCP's own.
    assert not any("measured" in name or "server-" in name for name in traefik_after)
    for server in ("measured", "broken"):
        api.delete(server)


def test_inside_there_are_counts_and_no_names(platform: Platform) -> None:
    platform.api.create("nameless", tiny_server())
    answer = httpx.get(f"{platform.internal_url}/metrics", verify=TRUSTS_NOBODY, trust_env=False)
    assert 'emcp_servers{status="stopped"}' in answer.text
    assert "nameless" not in answer.text
    platform.api.delete("nameless")


def test_strangers_make_no_series(platform: Platform, token: str) -> None:
    nobody = platform.api_as(None)
    before = set(scrape(platform, "/metrics", token))
    before_traefik = set(scrape(platform, "/metrics/traefik", token))
    for number in range(60):
        nobody.request("GET", f"/x/{number}/wp-login.php")
        nobody.request(f"M{number}", f"/api/m{number}")
        nobody.request("POST", f"/api/nobody-{number}/mcp", content=b"{}")
    grown = set(scrape(platform, "/metrics", token)) - before
    assert not any(re.search(r"wp-login|nobody|m\d", name) for name in grown)
    assert len(grown) <= 13 * 8, sorted(grown)
    grown = set(scrape(platform, "/metrics/traefik", token)) - before_traefik
    assert not any(re.search(r"wp-login|nobody|m\d", name) for name in grown)
    assert len(grown) <= 8 * 8, sorted(grown)


def test_traefik_shows_what_the_dashboard_takes_it_to_show(platform: Platform, token: str) -> None:
    shown = {name.split("{")[0] for name in scrape(platform, "/metrics/traefik", token)}
    listed = set((MONITORING / "traefik-series.txt").read_text().split())
    assert listed <= shown, listed - shown


def test_what_is_scraped_is_well_formed(platform: Platform, token: str) -> None:
    """By Prometheus's own reader, where there is one; scripts/promtool.sh fetches it."""
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: name one in PROMTOOL, or let apt fetch it (scripts/promtool.sh)")
    for page in PAGES:
        text = ask(platform, page, token).text
        if page == "/metrics":
            # OpenMetrics tells of a counter without its ending; the tool reads the older format, which has it.
            for counter in re.findall(r"^# TYPE (\w+) counter$", text, re.MULTILINE):
                text = re.sub(rf"^# (HELP|TYPE) {counter} ", rf"# \1 {counter}_total ", text, flags=re.MULTILINE)
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        # 3: a name it would have chosen otherwise, which Traefik has some of.
        assert checked.returncode in ((0,) if page == "/metrics" else (0, 3)), checked.stdout + checked.stderr


def test_the_token_is_in_no_log(platform: Platform, token: str) -> None:
    for log in (platform.emcp_log, platform.traefik_log):
        assert token not in log.read_text()


def test_a_servers_own_host_has_no_metrics(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(EMCP_METRICS_PUBLIC="on", EMCP_SERVERS_URL="https://127.0.0.1:1")
    token = (platform.data_dir / "metrics-token").read_text().strip()
    for page in PAGES:
        assert ask(platform, page, token).status_code == 200
        url = platform.public_url.replace("localhost", "127.0.0.1")
        answer = httpx.get(f"{url}{page}", headers=bearer(token), verify=platform.api.tls, trust_env=False)
        assert answer.status_code == 404, answer.text[:300]
