# MUST: refused with words that also fit a folder of the user's own project (one file is uploaded).
import config.settings
from mcp.server.fastmcp import FastMCP

mcp = FastMCP(config.settings.NAME)
