# MUST: refused with words that say one file is uploaded and its own modules are not there.
from fastmcp import FastMCP

from ..shared.tools import register

mcp = register(FastMCP("child"))
