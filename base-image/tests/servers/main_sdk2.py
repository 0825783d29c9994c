from dataclasses import dataclass

from mcp.server.mcpserver import MCPServer


@dataclass
class Options:
    name: str = "kind"


def main() -> None:
    server = MCPServer(Options().name)

    @server.tool()
    def greet(name: str) -> str:
        return f"你好 {name}"

    server.run(transport="streamable-http", port=9999)


if __name__ == "__main__":
    main()
