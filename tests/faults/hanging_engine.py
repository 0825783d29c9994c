"""A Docker Engine that can be made to hang: it accepts and answers nothing. Otherwise it is the machine's own."""

import contextlib
import select
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

PIECE_BYTES = 65_536
LOOK_EVERY_SECS = 0.1


class HangingEngine:
    """`with HangingEngine(path, host) as engine:` listens on a Unix socket and hands everything on, until it hangs."""

    def __init__(self, path: Path, host: str) -> None:
        self.host = f"unix://{path}"
        self._engine = urlsplit(host)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._listener.settimeout(LOOK_EVERY_SECS)
        self._is_over = threading.Event()
        self._hangs = threading.Event()
        self._changed = threading.Condition()
        # What came while it hung, by its first line: it is never answered.
        self._held: dict[socket.socket, str] = {}
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "HangingEngine":
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._accepting.join()
        self.go_on()
        self._listener.close()

    def hang(self) -> None:
        """As one that comes back ill: what was open is cut off, and what comes is not answered."""
        self._hangs.set()

    def go_on(self) -> None:
        """As after a restart: what was asked meanwhile is cut off, and what comes is answered."""
        self._hangs.clear()
        with self._changed:
            for connection in self._held:
                connection.close()
            self._held.clear()

    def wait_asked_for_all(self, deadline_secs: float) -> None:
        """Wait until EMCP waits for the list of all its containers."""

        def is_asked() -> bool:
            return any("/containers/json" in line and "emcp.server" not in line for line in self._held.values())

        with self._changed:
            assert self._changed.wait_for(is_asked, deadline_secs), f"the engine was asked only {self._held.values()}"

    def _accept(self) -> None:
        while not self._is_over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._hangs.is_set():
            self._hold(client)
            return
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine.path)
            other = {client: engine, engine: client}
            while not self._is_over.is_set():
                ready, _, _ = select.select([client, engine], [], [], LOOK_EVERY_SECS)
                if self._hangs.is_set():
                    break
                for end in ready:
                    with contextlib.suppress(OSError):
                        piece = end.recv(PIECE_BYTES)
                        if piece:
                            other[end].sendall(piece)
                            continue
                    client.close()
                    return
        client.close()

    def _hold(self, client: socket.socket) -> None:
        request = client.recv(PIECE_BYTES).decode(errors="replace")
        with self._changed:
            self._held[client] = request.partition("\r\n")[0]
            self._changed.notify_all()
