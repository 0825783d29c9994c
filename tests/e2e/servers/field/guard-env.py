# MUST: `rate` answers 1.2: the table is filled under the guard, from the environment, before the server runs.
import json
import os

from mcp.server import MCPServer

rates: dict[str, float] | None = None
books = MCPServer("books")


@books.tool()
def rate(currency: str) -> float:
    assert rates is not None
    return rates[currency]


def load() -> None:
    global rates
    rates = json.loads(os.environ.get("RATES", '{"EUR": 1.2}'))


if __name__ == "__main__":
    load()
    books.run("stdio")
