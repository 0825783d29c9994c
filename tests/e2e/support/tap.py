"""Between EMCP and a real Docker Engine: hands everything on and keeps count of what EMCP asks for, or hangs."""

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

REQUEST = re.compile(rb"(?:^|\r\n)(GET|POST|DELETE|PUT|HEAD) (/\S*) HTTP/1\.1\r\n")
PIECE_BYTES = 64 * 1024


class EngineTap:
    """A Unix socket that leads to the engine's."""

    def __init__(self, path: Path, engine_host: str) -> None:
        self.host = f"unix://{path}"
        self._engine = engine_host.removeprefix("unix://")
        self._lock = threading.Lock()
        self._asked: list[str] = []
        self._starts: set[int] = set()
        self._followed: dict[int, str] = {}
        self._silenced: set[int] = set()
        self._clients: set[socket.socket] = set()
        self._hangs = threading.Event()
        self.most_starts_at_once = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def asked(self) -> list[str]:
        """All requests until now: method and path."""
        with self._lock:
            return list(self._asked)

    def follows(self, container: str) -> int:
        """How many streams of this container's output are open now."""
        with self._lock:
            return sum(f"/{container}/logs" in path for path in self._followed.values())

    def silence(self, container: str) -> None:
        """The streams of this container's output that are open now bring nothing more, and stay open."""
        with self._lock:
            self._silenced.update(number for number, path in self._followed.items() if f"/{container}/logs" in path)

    def hang(self) -> None:
        """As an engine that comes back ill: what was open is cut, and what comes is accepted and never answered."""
        self._hangs.set()
        self._cut()

    def go_on(self) -> None:
        """As after another restart: what was asked meanwhile is cut, and what comes is answered."""
        self._hangs.clear()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # Closed.
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            with self._lock:
                self._clients.add(client)
            # Looked at after that: a connection that comes just as it begins to hang is cut or held.
            if self._hangs.is_set():
                self._hold(client)
            else:
                self._hand_on(client)
            with self._lock:
                self._clients.discard(client)

    def _hold(self, client: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(PIECE_BYTES):
                self._note(id(client), piece)

    def _hand_on(self, client: socket.socket) -> None:
        number = id(client)
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)
            back = threading.Thread(target=self._copy_back, args=(engine, client, number), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := client.recv(PIECE_BYTES):
                    self._note(number, piece)
                    engine.sendall(piece)
                engine.shutdown(socket.SHUT_WR)
            back.join()

    def _copy_back(self, engine: socket.socket, client: socket.socket, number: int) -> None:
        with suppress(OSError):
            while piece := engine.recv(PIECE_BYTES):
                # One request at a time goes over a connection, so this answers the last one.
                with self._lock:
                    self._starts.discard(number)
                    is_silenced = number in self._silenced
                if not is_silenced:
                    client.sendall(piece)
        with self._lock:
            self._starts.discard(number)
            self._followed.pop(number, None)
            self._silenced.discard(number)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _note(self, number: int, piece: bytes) -> None:
        for method, path in REQUEST.findall(piece):
            asked = f"{method.decode()} {path.decode()}"
            with self._lock:
                self._asked.append(asked)
                self._followed.pop(number, None)
                if "/logs?" in asked and "follow=true" in asked:
                    self._followed[number] = asked
                if re.search(r"/containers/(create\?|[0-9a-f]+/start)", asked):
                    self._starts.add(number)
                    self.most_starts_at_once = max(self.most_starts_at_once, len(self._starts))
