"""Which environment a file is given, from its text alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from emcp_bootstrap.contract import Runtime, RuntimeChoice
from emcp_bootstrap.environments import RUNTIMES, Choice, Environment, choose
from emcp_bootstrap.source import parse

# What the two environments hold, as far as the choice is concerned.
FILES: dict[Runtime, dict[str, str]] = {
    "mcp1": {
        "mcp/__init__.py": "from .types import Tool\nclass McpError(Exception): ...\n",
        "mcp/types.py": "class Tool: ...\nclass OnlyInOne: ...\n",
        "mcp/server/__init__.py": "from .fastmcp import FastMCP\nfrom .lowlevel import Server\n",
        "mcp/server/fastmcp/__init__.py": "class FastMCP: ...\n",
        "mcp/server/lowlevel/__init__.py": "class Server: ...\n",
        "mcp/shared/progress.py": "",
        "fastmcp/__init__.py": "def __getattr__(name): ...\n",
        "fastmcp/server/proxy.py": "",
        "company_one.py": "",
        "pandas/__init__.py": "",
    },
    "mcp2": {
        "mcp/__init__.py": "from mcp_types import Tool\nclass Client: ...\n",
        "mcp/types/__init__.py": "from mcp_types import *\n",
        "mcp_types/__init__.py": "class Tool: ...\n__all__ = ['Tool', 'Lazy']\n",
        "mcp/server/__init__.py": "from .mcpserver import MCPServer\nfrom .lowlevel import Server\n",
        "mcp/server/fastmcp.py": "raise ModuleNotFoundError('renamed')\n",
        "mcp/server/mcpserver/__init__.py": "class MCPServer: ...\n",
        "mcp/server/lowlevel/__init__.py": "class Server: ...\n",
        "fastmcp/__init__.py": "def __getattr__(name): ...\n",
        "company_two/__init__.py": "",
        "pandas/__init__.py": "",
    },
}


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[Runtime, Environment]:
    root = tmp_path_factory.mktemp("environments")
    for runtime in RUNTIMES:
        for name, text in FILES[runtime].items():
            path = root / runtime / "lib" / "python3.11" / "site-packages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return {runtime: Environment(runtime, root / runtime) for runtime in RUNTIMES}


def chosen(code: str, environments: dict[Runtime, Environment], wanted: RuntimeChoice = "auto") -> Choice:
    return choose(parse(Path("server.py"), code), wanted, environments)


@pytest.mark.parametrize(
    ("code", "runtime"),
    [
        ("from mcp.server.fastmcp import FastMCP", "mcp1"),
        ("import mcp.server.fastmcp as f", "mcp1"),
        ("from mcp.server.fastmcp.prompts import base", "mcp1"),
        ("from mcp.server import FastMCP", "mcp1"),
        ("def f():\n    from mcp.server.fastmcp import Context", "mcp1"),
        ("from mcp.shared.progress import progress", "mcp1"),
        ("from mcp import McpError", "mcp1"),
        ("from mcp.types import OnlyInOne", "mcp1"),
        ("from mcp.server.mcpserver import MCPServer", "mcp2"),
        ("from mcp.server import MCPServer", "mcp2"),
        ("import mcp_types", "mcp2"),
        ("from mcp import Client", "mcp2"),
        ("from mcp.types import Lazy", "mcp2"),
        ("from mcp.types import Tool", "mcp2"),
        ("from fastmcp import FastMCP", "mcp2"),
        ("from fastmcp.server.proxy import FastMCPProxy", "mcp1"),
        ("from fastmcp import FastMCP\nm = FastMCP.as_proxy('x')", "mcp1"),
        ("from fastmcp import FastMCP\n@m.tool(exclude_args=['a'])\ndef f(a): ...", "mcp1"),
        ("from fastmcp.tools.tool import ToolResult", "mcp1"),
        ("from fastmcp import FastMCP\nm.mount(other, prefix='x')", "mcp1"),
        ("from fastmcp import FastMCP\nasync def f(c):\n    return await c.sample('x')", "mcp1"),
        ("from fastmcp import FastMCP\nimport random\nrandom.sample([1], 1)", "mcp2"),
        ("# /// script\n# dependencies = ['fastmcp>=2.3,<3']\n# ///\nfrom fastmcp import FastMCP", "mcp1"),
        ("# /// script\n# dependencies = ['mcp[cli]==1.9.0']\n# ///\nfrom mcp.server import Server", "mcp1"),
        ("# /// script\n# dependencies = ['mcp>=2']\n# ///\nfrom mcp.server import Server", "mcp2"),
        ("# /// script\n# dependencies = ['fastmcp>=2.3']\n# ///\nfrom fastmcp import FastMCP", "mcp2"),
        ("from mcp.server import Server\ns = Server('x')\n@s.list_tools()\nasync def f(): ...", "mcp1"),
        ("from mcp.server import Server\ns = Server('x', on_list_tools=f)", "mcp2"),
        ("from mcp.server.lowlevel import Server\nimport mcp.types as t\nt.Tool(name='a', inputSchema={})", "mcp1"),
        ("from mcp.server import Server\nimport mcp.types as t\nt.Tool(name='a', input_schema={})", "mcp2"),
        ("from fastapi import FastAPI\napp = FastAPI()", "mcp2"),
        ("import pandas", "mcp2"),
        ("import company_one", "mcp1"),
        ("import company_two", "mcp2"),
        ("", "mcp2"),
        # An import that may fail, or that only a type checker follows, decides nothing by itself.
        (
            "try:\n    from mcp.server.fastmcp import FastMCP\nexcept ImportError:\n    FastMCP = None\n"
            "from mcp.server.mcpserver import MCPServer",
            "mcp2",
        ),
        ("try:\n    from mcp.server.fastmcp import FastMCP\nexcept ImportError:\n    FastMCP = None", "mcp1"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mcp.server.fastmcp import FastMCP", "mcp2"),
    ],
)
def test_the_environment_follows_from_what_the_file_uses(
    environments: dict[Runtime, Environment], code: str, runtime: Runtime
) -> None:
    assert chosen(code, environments).runtime == runtime


def test_the_setting_wins(environments: dict[Runtime, Environment]) -> None:
    assert chosen("from mcp.server.fastmcp import FastMCP", environments, "mcp2").runtime == "mcp2"


def test_the_reason_names_the_line(environments: dict[Runtime, Environment]) -> None:
    choice = chosen("x = 1\n\nfrom mcp.server.fastmcp import FastMCP", environments)
    assert choice.reason == "line 3: imports mcp.server.fastmcp"
