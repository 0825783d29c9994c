# MUST: `greet` and the prompt `welcome` are there: the object made under the guard registers them, on another name.
import argparse

from fastmcp import FastMCP


class Desk:
    def __init__(self, title: str) -> None:
        self.server = FastMCP(title)
        self.server.tool(self.greet)
        self.server.prompt(self.welcome)

    def greet(self, name: str) -> str:
        return f"{self.server.name} greets {name}"

    def welcome(self) -> str:
        return "Say welcome."


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    desk = Desk("front desk")
    desk.server.run(transport=parser.parse_args().transport)
