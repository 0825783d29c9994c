# MUST: runs: a folder made beside the file, a rotating log and a shelf in it, by relative paths.
import logging.handlers
import os
import shelve

from fastmcp import FastMCP

os.makedirs("state/log", exist_ok=True)
logging.getLogger().addHandler(logging.handlers.RotatingFileHandler("state/log/server.log", maxBytes=4096))
mcp = FastMCP("keeper")


@mcp.tool
def keep(word: str) -> int:
    with shelve.open("state/words") as words:
        words[word] = True
        return len(words)


if __name__ == "__main__":
    mcp.run()
