"""The programs that people connect with: each finds a server of EMCP with its token, lists its tools and calls one.

Over both transports, through real Traefik, with the platform's CA given by the program's own means. Each is installed
in a place of its own, at the versions of its lock file.
"""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clients import bearer
from support.running import Platform
from support.settings import E2E_DIR
from support.toolchains import node, node_packages, python_environment

Json = dict[str, Any]

HERE = Path(__file__).parent
RUN_TIMEOUT_SECS = 90
TOOL, ARGUMENTS, ANSWER = "add", {"a": 19, "b": 23}, "42"
TOOLS = {"add", "weather", "fail", "count", "reverse"}
NODE_MAJOR = 22


@dataclass(frozen=True)
class Access:
    """One server of the platform, over one transport, and a token for it alone."""

    url: str
    transport: str
    token: str
    ca_file: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        """As a person's shell, with a home of its own and nobody else's CA trusted."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "SSL_CERT_FILE": str(self.ca_file),
            "NODE_EXTRA_CA_CERTS": str(self.ca_file),
            "NO_PROXY": "localhost,127.0.0.1",
            **more,
        }

    @property
    def question(self) -> Json:
        headers = bearer(self.token)
        return {"url": self.url, "transport": self.transport, "headers": headers, "tool": TOOL, "arguments": ARGUMENTS}

    def run(self, *command: str | Path, **more: str) -> str:
        """What the command says on standard output; it must succeed."""
        done = subprocess.run(
            [str(word) for word in command],
            input=json.dumps(self.question),
            env=self.environment(**more),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_SECS,
        )
        assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@dataclass(frozen=True)
class Seen:
    tools: set[str]
    answer: str


def _told(output: str) -> Seen:
    told = json.loads(output)
    return Seen(set(told["tools"]), told["answer"])


def _python(name: str) -> Callable[[Access], Seen]:
    """A Python library, by the program beside this that uses it as its documentation says."""

    def run(access: Access) -> Seen:
        interpreter = python_environment(HERE / f"requirements-{name}.txt")
        return _told(access.run(interpreter, HERE / "programs" / f"with_{name.replace('-', '_')}.py"))

    return run


def _fastmcp(access: Access) -> Seen:
    program = python_environment(HERE / "requirements-fastmcp.txt").with_name("fastmcp")
    options = ["--transport", access.transport, "--auth", access.token, "--json"]
    listed = json.loads(access.run(program, "list", access.url, *options))
    given = [f"{name}={value}" for name, value in ARGUMENTS.items()]
    called = json.loads(access.run(program, "call", access.url, TOOL, *given, *options))
    return Seen({tool["name"] for tool in listed["tools"]}, called["content"][0]["text"])


def _ai_sdk(access: Access) -> Seen:
    return _told(access.run(node(NODE_MAJOR), node_packages(HERE / "node" / "ai-sdk") / "with_ai_sdk.mjs"))


def _inspector(access: Access) -> Seen:
    package = node_packages(HERE / "node" / "inspector") / "node_modules" / "@modelcontextprotocol" / "inspector"
    cli = [node(NODE_MAJOR), package / "clients" / "launcher" / "build" / "index.js", "--cli"]
    server = [access.url, "--transport", access.transport, "--header", f"Authorization: Bearer {access.token}"]
    listed = json.loads(access.run(*cli, *server, "--method", "tools/list"))
    given = [word for name, value in ARGUMENTS.items() for word in ("--tool-arg", f"{name}={value}")]
    called = json.loads(access.run(*cli, *server, "--method", "tools/call", "--tool-name", TOOL, *given))
    return Seen({tool["name"] for tool in listed["tools"]}, called["content"][0]["text"])


def _through_mcp_remote(access: Access, strategy: str) -> Seen:
    """The official client as a host, which starts mcp-remote as a configuration for stdio would."""
    proxy = node_packages(HERE / "node" / "mcp-remote") / "node_modules" / "mcp-remote" / "dist" / "proxy.js"
    host = python_environment(E2E_DIR / "requirements-mcp2.txt")
    header = "Authorization:${AUTHORIZATION}"
    command = [node(NODE_MAJOR), proxy, access.url, "--transport", strategy, "--header", header]
    return _told(
        access.run(host, HERE / "programs" / "through_stdio.py", *command, AUTHORIZATION=f"Bearer {access.token}")
    )


def _mcp_remote(access: Access) -> Seen:
    return _through_mcp_remote(access, f"{access.transport}-only")


PROGRAMS: dict[str, Callable[[Access], Seen]] = {
    "mcp-remote": _mcp_remote,
    "inspector": _inspector,
    "fastmcp": _fastmcp,
    "langchain": _python("langchain"),
    "openai-agents": _python("openai-agents"),
    "pydantic-ai": _python("pydantic-ai"),
    "llama-index": _python("llama-index"),
    "ai-sdk": _ai_sdk,
}


@pytest.fixture(params=("http", "sse"))
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=("fixture-v1", "fixture-v2"))
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def access(platform: Platform, server: str, transport: str, tmp_path: Path) -> Access:
    endpoint = "sse" if transport == "sse" else "mcp"
    url = f"{platform.public_url}/api/{server}/{endpoint}"
    return Access(url, transport, platform.api.connect_token(tmp_path.name, [server]), platform.ca_file, tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_lists_the_tools_and_calls_one(access: Access, program: str) -> None:
    seen = PROGRAMS[program](access)
    assert TOOLS <= seen.tools
    assert seen.answer == ANSWER


@pytest.mark.parametrize("transport", ["http"], indirect=True)
def test_a_program_that_tries_the_other_transport_first_falls_back(access: Access) -> None:
    seen = _through_mcp_remote(access, "sse-first")
    assert (TOOLS <= seen.tools, seen.answer) == (True, ANSWER)


def _claude(access: Access, *words: str) -> str:
    """Claude Code; its npm package leads to a program for the machine, which is started as its own wrapper would."""
    package = node_packages(HERE / "node" / "claude-code") / "node_modules" / "@anthropic-ai" / "claude-code"
    return access.run(node(NODE_MAJOR), package / "cli-wrapper.cjs", *words, CLAUDE_CONFIG_DIR=str(access.home))


def test_claude_code_connects(access: Access) -> None:
    """As far as it goes without its vendor's network: a model has to ask for a tool, so none is called here."""
    header = f"Authorization: Bearer {access.token}"
    _claude(access, "mcp", "add", "--scope", "user", "--transport", access.transport, "emcp", access.url, "--header", header)
    assert "✔ Connected" in _claude(access, "mcp", "list")
