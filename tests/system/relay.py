"""The network between a person and a site, which can be taken away and given back: it carries bytes, and sees none of what is in them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.system.support import Site


class Relay:
    """A port of loopback that leads to a site's; ``url`` is how it is reached through it."""

    def __init__(self, site: Site) -> None:
        there = urlsplit(site.told["url"])
        self._there = (there.hostname or "", there.port or 443)
        self._listening = _listen(0)
        self._port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.carried = 0
        """How many connections there were."""
        self.passed = 0
        """How many bytes went through, to and fro."""
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()

    def cut(self) -> None:
        """Break off each connection, and take no other."""
        _end(self._listening)
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            _end(end)

    def mend(self) -> None:
        """Take connections again."""
        self._listening = _listen(self._port)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listening.accept()
                there = socket.create_connection(self._there)
                self.carried += 1
                with self._lock:
                    self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
                self.passed += len(piece)
        _end(one)
        _end(other)


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=False)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
