"""A server that wants EMCP to grow: it answers EMCP's own questions without end, each mode in its own way."""

from harness import FaultPlatform, Json

MODES = ("pages", "items", "large", "structure", "page", "event", "events", "call", "health", "initialize")

# It takes the bootstrap's port while the bootstrap loads it, as any hostile file could.
HOSTILE = r'''
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = os.environ["MODE"]
FLOOD_BYTES = 400 * 1024 * 1024
PIECE = b"x" * 65536


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/.emcp/health":
            return self.answer(405, b"")
        if MODE == "health":
            return self.flood("application/json", b'{"mcp": true, "padding": "')
        self.answer(200, json.dumps({"mcp": True, "open_requests": 0, "idle_ms": 0}).encode())

    def do_DELETE(self):
        self.answer(200, b"")

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            return self.answer(202, b"")
        if MODE == "initialize" or (message["method"], MODE) in [("tools/list", "page"), ("tools/call", "call")]:
            return self.flood("application/json", b'{"jsonrpc": "2.0", "id": 0, "padding": "')
        if message["method"] == "tools/list" and MODE == "event":
            return self.flood("text/event-stream", b"data: ")
        if message["method"] == "tools/list" and MODE == "events":
            event = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}}
            return self.flood("text/event-stream", b"", b"data: " + json.dumps(event).encode() + b"\n\n")
        result = {"tools": [], "resources": [], "prompts": []}
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            info = {"name": "hostile", "version": "1"}
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        elif message["method"] == "tools/list":
            result = {"tools": self.tools(), "nextCursor": "again"}
        self.answer(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())

    def tools(self):
        schema = {"type": "object"}
        if MODE == "structure":
            schema["examples"] = [{}] * 200_000
        count = 1_001 if MODE == "items" else 1
        length = 300_000 if MODE == "large" else 10
        return [{"name": f"tool-{n}", "description": "x" * length, "inputSchema": schema} for n in range(count)]

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def flood(self, content_type, begin, piece=PIECE):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(begin)
            for _ in range(FLOOD_BYTES // len(piece)):
                self.wfile.write(piece)
        except OSError:
            pass
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("0.0.0.0", 8000), Handler).serve_forever()
'''


def create_hostile(platform: FaultPlatform, mode: str, token: str | None = None) -> Json:
    """Such a server, started, of whoever holds the token; by default of the administrator."""
    api = platform.api if token is None else platform.api_as(token)
    env = [{"key": "MODE", "value": mode, "is_secret": False}]
    body = {"name": f"hostile-{mode}", "code": HOSTILE, "env": env, "start": True}
    created: Json = api.call("POST", "/api/servers", json=body)
    return created
