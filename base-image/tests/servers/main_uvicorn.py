import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route


def main() -> None:
    server = MCPServer("kind")

    @server.tool()
    def greet(name: str) -> str:
        return f"你好 {name}"

    mcp_app = server.streamable_http_app()

    async def hello(request):
        return PlainTextResponse("hello")

    app = Starlette(
        routes=[Route("/hello", hello), Mount("/", mcp_app)], lifespan=lambda app: server.session_manager.run()
    )
    uvicorn.run(app, host="127.0.0.1", port=9999)


if __name__ == "__main__":
    main()
