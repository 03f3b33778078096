"""A kept connection that reads HTTP answers without a library, since the load must cost little where two cores do everything."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ETAG = re.compile(rb"(?i)\r\netag: *([^\r\n]+)")
_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the answer's size with its head, its tag, and its body unless that was not wanted."""

    status: int
    size: int
    etag: str | None
    body: bytes


class Client:
    """One connection to ``unix:/path``, ``host:port`` or, with ``trust``, ``https://host:port``; opened with the first request."""

    def __init__(self, address: str, trust: ssl.SSLContext | None = None) -> None:
        self._address = address.removeprefix("https://")
        self._trust = trust
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, keep: bool = True) -> Answer:
        """Send a request and read its answer whole; its body is thrown away unless ``keep``."""
        reader = await self.send(method, path, headers, body)
        head = await reader.readuntil(b"\r\n\r\n")
        length, tag = _LENGTH.search(head), _ETAG.search(head)
        left, pieces = int(length[1]) if length else 0, []
        size = len(head) + left
        while left:
            piece = await reader.read(min(left, _LIMIT))
            if not piece:
                raise ConnectionError("the answer broke off")
            left -= len(piece)
            if keep:
                pieces.append(piece)
        status = int(head[9:12])
        if status >= 400 or b"onnection: close" in head:  # slurmrestd closes after every error
            self.close()
        return Answer(status, size, tag[1].decode("ascii") if tag else None, b"".join(pieces))

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> asyncio.StreamReader:
        """Send a request, and return what its answer is read from."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await self._open()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}{length}\r\n".encode() + body)
        return self._reader

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.startswith("unix:"):
            return await asyncio.open_unix_connection(self._address.removeprefix("unix:"), limit=_LIMIT)
        host, _, port = self._address.rpartition(":")
        return await asyncio.open_connection(host, int(port), ssl=self._trust, limit=_LIMIT)

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None
