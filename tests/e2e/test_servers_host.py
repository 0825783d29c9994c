"""A host for the servers alone (`EMCP_SERVERS_URL`), and the certificates for two hosts."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.clients import bearer
from support.running import Platform
from support.streams import HANDSHAKE, STREAM_HEADERS
from support.waits import until

Json = dict[str, Any]

HOST = "mcp-servers.test"
OTHER_HOST = "other-servers.test"
SERVER = "demo"
CODE = """
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("demo")

@mcp.tool()
def hello() -> str:
    return "hello"
"""


class TwoHosts(Platform):
    """Traefik for `localhost`, with the dashboard, and for another host with the servers."""

    def prepare(self) -> None:
        super().prepare()
        port = urlsplit(self.public_url).port
        assert port
        self.port = port
        self.use_servers_host(HOST)

    def use_servers_host(self, host: str) -> None:
        self.environment["EMCP_SERVERS_URL"] = f"https://{host}:{self.port}"

    def ask(self, host: str, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """A GET of that host, which nobody's DNS knows, with its certificate verified for that name."""
        headers |= {"Host": f"{host}:{self.port}"} | (bearer(token) if token else {})
        with httpx.Client(verify=self.api.tls, timeout=30, trust_env=False) as http:
            url = f"https://127.0.0.1:{self.port}{path}"
            return http.get(url, headers=headers, extensions={"sni_hostname": host})

    def names(self, host: str) -> list[str]:
        """The names in the certificate that a client which wants this host gets, verified."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            self.api.tls.wrap_socket(plain, server_hostname=host) as connection,
        ):
            certificate = connection.getpeercert()
        assert certificate
        alternatives: Any = certificate["subjectAltName"]
        return [value for _, value in alternatives]


class OwnCertificate(TwoHosts):
    """The same with the operator's own certificate, of an authority that is not EMCP's."""

    hosts = ("localhost", HOST)

    def prepare(self) -> None:
        super().prepare()
        self.authority = self.run_dir / "authority.crt"
        openssl(self.run_dir, "req", "-x509", *FRESH, "-keyout", "authority.key", "-out", "authority.crt",
                "-subj", "/CN=Some Authority", "-days", "2")  # fmt: skip
        self.certify(*self.hosts)
        self.environment["EMCP_TLS_CERT_FILE"] = str(self.run_dir / "own.crt")
        self.environment["EMCP_TLS_KEY_FILE"] = str(self.run_dir / "own.key")

    def certify(self, *hosts: str) -> None:
        names = ",".join(f"DNS:{host}" for host in hosts)
        openssl(self.run_dir, "req", "-x509", *FRESH, "-keyout", "own.key", "-out", "own.crt", "-subj", "/CN=own",
                "-days", "1", "-CA", "authority.crt", "-CAkey", "authority.key", "-addext", f"subjectAltName={names}",
                "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip

    def start_emcp(self) -> None:
        super().start_emcp()
        # Where the rest of the tests' support looks for what to trust.
        shutil.copy(self.authority, self.data_dir / "ca.crt")


FRESH = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[TwoHosts]:
    platform = TwoHosts()
    try:
        platform.start()
        platform.api.create(SERVER, CODE, start="true")
        platform.api.wait_for(SERVER, "running")
        yield platform
    finally:
        platform.stop()


def initialize(platform: TwoHosts, host: str, token: str | None) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    headers = {**STREAM_HEADERS, "Host": f"{host}:{platform.port}", **(bearer(token) if token else {})}
    with httpx.Client(verify=platform.api.tls, timeout=30, trust_env=False) as http:
        url = f"https://127.0.0.1:{platform.port}/api/{SERVER}/mcp"
        return http.post(url, json=body, headers=headers, extensions={"sni_hostname": host})


def code_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    # In OAuth's words where its clients look.
    code: str = error if isinstance(error, str) else error["code"]
    return code


def test_servers_are_at_their_own_host_alone(two_hosts: TwoHosts) -> None:
    token = two_hosts.admin_token
    assert initialize(two_hosts, HOST, token).status_code == 200
    assert initialize(two_hosts, HOST, None).status_code == 401
    # At the dashboard's, whoever may know learns where they are.
    moved = initialize(two_hosts, "localhost", token)
    assert (moved.status_code, code_of(moved)) == (404, "server_moved")
    assert f"https://{HOST}:{two_hosts.port}/api/{SERVER}/mcp" in moved.json()["error"]["message"]
    by_key = two_hosts.ask("localhost", f"/api/{SERVER}/mcp?key={token}")
    assert (by_key.status_code, code_of(by_key)) == (404, "server_moved")
    for path in (f"/api/{SERVER}/mcp", f"/api/{SERVER}/mcp?key=emcp_wrong", "/api/no-such/mcp"):
        assert code_of(two_hosts.ask("localhost", path)) == "unauthenticated"
    assert code_of(two_hosts.ask("localhost", "/api/no-such/mcp", token)) == "server_not_found"
    as_page = two_hosts.ask("localhost", f"/api/{SERVER}/mcp", token, **{"Sec-Fetch-Dest": "document"})
    assert code_of(as_page) == "not_a_page"


def test_the_servers_host_has_neither_dashboard_nor_api(two_hosts: TwoHosts) -> None:
    paths = ["/", "/index.html", "/main.js", "/healthz", "/ca.crt", "/readyz", "/metrics", "/gate", "/gate?server=x"]
    paths += ["/traefik/config", "/api", "/api/", "/.well-known/oauth-protected-resource", "/favicon.ico"]
    paths += [f"/.well-known/oauth-protected-resource/api/{SERVER}/mcp", "/api/names/.well-known"]
    api_paths: Json = two_hosts.api.call("GET", "/api/openapi.json")["paths"]
    paths += [path.replace("{", "").replace("}", "") for path in api_paths]
    for path in paths:
        answer = two_hosts.ask(HOST, path, two_hosts.admin_token)
        assert answer.status_code == 404, f"{path}: {answer.status_code} {answer.text[:200]}"
        assert code_of(answer) == "not_found"
    # A client says itself where it is only to its own harm.
    forged = two_hosts.ask("localhost", "/api/servers", two_hosts.admin_token, **{"X-Emcp-Servers-Host": "1"})
    assert forged.status_code == 404
    forged = two_hosts.ask(HOST, "/api/servers", two_hosts.admin_token, **{"X-Emcp-Servers-Host": "0"})
    assert forged.status_code == 404


@pytest.mark.parametrize("host", [f"{HOST}.", HOST.upper()])
def test_the_servers_host_is_the_same_however_it_is_written(two_hosts: TwoHosts, host: str) -> None:
    headers = {"Host": f"{host}:{two_hosts.port}", **bearer(two_hosts.admin_token)}
    with httpx.Client(verify=two_hosts.api.tls, timeout=30, trust_env=False) as http:
        url = f"https://127.0.0.1:{two_hosts.port}/api/servers"
        answer = http.get(url, headers=headers, extensions={"sni_hostname": HOST})
    assert answer.status_code == 404


def test_who_has_no_token_learns_nothing_at_the_servers_host(two_hosts: TwoHosts) -> None:
    for path in (f"/api/{SERVER}/mcp", "/api/no-such/mcp"):
        answer = two_hosts.ask(HOST, path)
        assert (answer.status_code, code_of(answer)) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    unknown = two_hosts.ask(HOST, "/api/no-such/mcp", two_hosts.admin_token)
    assert (unknown.status_code, code_of(unknown)) == (404, "server_not_found")


def test_everything_that_is_shown_names_the_servers_host(two_hosts: TwoHosts) -> None:
    api = two_hosts.api
    base = f"https://{HOST}:{two_hosts.port}"
    expected = {"sse": f"{base}/api/{SERVER}/sse", "mcp": f"{base}/api/{SERVER}/mcp"}
    assert api.server(SERVER)["urls"] == expected
    connection = api.call("GET", f"/api/servers/{SERVER}/connection")
    assert connection["urls"] == expected
    # Its CA is the dashboard's to give.
    assert connection["ca_url"] == f"{two_hosts.public_url}/ca.crt"
    shown = str(connection["clients"])
    assert shown.count(base) >= 6
    assert two_hosts.public_url not in shown
    settings = api.call("GET", "/api/settings")
    assert settings["servers_url"] == f"{base}/"
    assert settings["allowed_origins"] == [two_hosts.public_url, base]


def test_the_connection_is_tested_at_the_servers_host(two_hosts: TwoHosts) -> None:
    """By name, with the certificate verified for it, through Traefik, to the list of tools."""
    result = two_hosts.api.call("POST", f"/api/servers/{SERVER}/test")
    assert result["ok"], result
    tls = next(step for step in result["steps"] if step["code"] == "tls")
    assert tls["detail_args"] == {"host": HOST}


def test_the_certificate_is_for_both_hosts_and_follows_the_setting(two_hosts: TwoHosts) -> None:
    assert {"localhost", HOST} <= {*two_hosts.names("localhost")}
    assert {"localhost", HOST} <= {*two_hosts.names(HOST)}
    with pytest.raises(ssl.SSLCertVerificationError):
        two_hosts.names(OTHER_HOST)
    two_hosts.stop_emcp()
    two_hosts.use_servers_host(OTHER_HOST)
    two_hosts.start_emcp()
    try:
        until("Traefik to serve a certificate for the new host", lambda: serves(two_hosts, OTHER_HOST), 30)
        with pytest.raises(ssl.SSLCertVerificationError):
            two_hosts.names(HOST)
        until("the route", lambda: initialize(two_hosts, OTHER_HOST, two_hosts.admin_token).status_code == 200, 30)
    finally:
        two_hosts.stop_emcp()
        two_hosts.use_servers_host(HOST)
        two_hosts.start_emcp()
        until("Traefik to serve the former certificate", lambda: serves(two_hosts, HOST), 30)


def serves(platform: TwoHosts, host: str) -> bool:
    try:
        return host in platform.names(host)
    except ssl.SSLCertVerificationError:
        return False


def test_an_own_certificate_must_be_for_both_hosts_and_makes_the_dashboard_https_only() -> None:
    platform = OwnCertificate()
    try:
        platform.start()
        platform.api.create(SERVER, CODE)
        for path in ("/", "/api/servers", "/.well-known/x"):
            answer = platform.ask("localhost", path, platform.admin_token)
            assert answer.headers["strict-transport-security"] == "max-age=31536000", path
        # The servers' answers say nothing for their host.
        for path in ("/", f"/api/{SERVER}/mcp", "/.well-known/x"):
            assert "strict-transport-security" not in platform.ask(HOST, path, platform.admin_token).headers, path
        assert HOST in platform.names(HOST)
        # One that is for the dashboard's host alone is not taken, and EMCP says so.
        platform.certify("localhost")
        until("EMCP to tell of the certificate", lambda: wrong_hosts(platform) == [HOST], 30)
        assert HOST in platform.names(HOST)
    finally:
        platform.stop()


def wrong_hosts(platform: Platform) -> list[str]:
    """The hosts that EMCP says its operator's certificate is not for."""
    notices: list[Json] = platform.api.call("GET", "/api/overview")["notices"]
    return [notice["args"]["host"] for notice in notices if notice["code"] == "certificate_wrong_host"]


def test_the_servers_host_must_not_be_the_dashboards_with_another_port() -> None:
    platform = Platform()
    platform.prepare()
    try:
        platform.environment["EMCP_SERVERS_URL"] = "https://localhost:9443"
        code, said = platform.try_second_emcp()
        assert code != 0
        assert "EMCP_SERVERS_URL" in said
        assert "cookies know no ports" in said
    finally:
        platform.stop()
