from fastapi import FastAPI, Request, WebSocket

app = FastAPI()


@app.get("/hello/{name}")
def hello(name: str, request: Request) -> dict:
    return {
        "hello": name,
        "url": str(request.url_for("hello", name=name)),
        "headers": dict(request.headers),
        "scheme": request.url.scheme,
    }


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()
