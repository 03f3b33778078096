"""A cable between somebody and a site, to be pulled: what goes through it is passed on, until it is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.system.support import Site

_PIECE = 64 * 1024


class Cable:
    """Listens in front of a site; ``url`` is the site's through it."""

    def __init__(self, site: Site) -> None:
        told = urlsplit(site.told["url"])
        self._site = (told.hostname, told.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._pulled = False
        self.passed = 0
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        self.pull()

    def pull(self) -> None:
        """Break what is under way, in the middle of whatever it is, and let nothing through."""
        with self._lock:
            self._pulled = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """Let things through again."""
        with self._lock:
            self._pulled = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._site) as site:
            with self._lock:
                if self._pulled:
                    return
                self._open |= {client, site}
            back = threading.Thread(target=self._pipe, args=(site, client), daemon=True)
            back.start()
            self._pipe(client, site)
            back.join()
            with self._lock:
                self._open -= {client, site}

    def _pipe(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                target.sendall(piece)
                self.passed += len(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
