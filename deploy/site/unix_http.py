"""HTTP over a unix socket, as far as asking a server whether it is there."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

OK, UNAUTHORIZED = 200, 401


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, limit: float) -> None:
        super().__init__("localhost", timeout=limit)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def status_of(path: Path, target: str, limit: float = 3) -> int:
    """Return the status of a GET; raises OSError when nobody answers, or not in HTTP."""
    connection = _Connection(path, limit)
    try:
        connection.request("GET", target)
        return connection.getresponse().status
    except http.client.HTTPException as cause:
        raise OSError(f"{path} does not speak HTTP: {cause!r}") from cause
    finally:
        connection.close()
