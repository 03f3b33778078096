"""A server on loopback that says what it is told to, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[["Caller"], None]


@dataclass(slots=True)
class Caller:
    """One connection: what came on it, and a way to answer."""

    socket: socket.socket
    server: Server
    _rest: bytes = b""

    def request(self) -> bytes:
        """Return the next request, its body too; raise ConnectionError when there is none."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, rest = self._rest.partition(b"\r\n\r\n")
        lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0
        while len(rest) < length:
            self._more()
            rest = self._rest.partition(b"\r\n\r\n")[2]
        self._rest = rest[length:]
        came = head + b"\r\n\r\n" + rest[:length]
        self.server.asked.append(came)
        return came

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def reset(self) -> None:
        """Close with a reset in the place of a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def wait(self) -> None:
        """Say nothing for as long as the test lasts, or until the other side has gone."""
        self.socket.settimeout(0.05)
        while not self.server.over.is_set():
            try:
                if not self.socket.recv(65536):
                    return
            except TimeoutError:
                continue

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError
        self._rest += piece


@dataclass(slots=True)
class Server:
    """Answers the first connection by the first script, and so on; the last script answers all others."""

    url: str
    scripts: list[Script]
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def lines(self) -> list[str]:
        """The first lines of what was asked."""
        return [came.partition(b"\r\n")[0].decode() for came in self.asked]


@contextmanager
def serving(*scripts: Script) -> Iterator[Server]:
    """Serve on loopback until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}", list(scripts))
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket, script: Script) -> None:
            with connection, suppress(OSError):
                connection.settimeout(20)
                script(Caller(connection, server))

        def accept() -> None:
            with suppress(OSError):
                while not server.over.is_set():
                    connection, _ = listener.accept()
                    if server.over.is_set():
                        connection.close()
                        return
                    script = scripts[min(server.connections, len(scripts) - 1)]
                    server.connections += 1
                    thread = threading.Thread(target=serve, args=(connection, script))
                    threads.append(thread)
                    thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            server.over.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
            accepting.join(10)
            for thread in threads:
                thread.join(10)


def http(status: int = 200, body: bytes = b"{}", *fields: str, media_type: str = "application/json") -> bytes:
    """An answer as it should be."""
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Script:
    """Answer one request after the other on a connection, then close it."""

    def script(caller: Caller) -> None:
        for answer in answers:
            caller.request()
            caller.say(answer)

    return script


def always(answer: bytes) -> Script:
    """Answer every request with the same."""

    def script(caller: Caller) -> None:
        while True:
            caller.request()
            caller.say(answer)

    return script
