"""A small answer that is written in one piece.

aiohttp prepares, serializes and writes an answer in many steps that streams, compression and chunks need, and a small whole answer does not:
they were a quarter of what a request cost. Whatever is out of the ordinary still takes that way.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

_LARGEST = 64 * 1024
# While so much waits to be read by the client, aiohttp's way has the patience for it.
_WAITING = 64 * 1024
_BODILESS = frozenset({204, 304})
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Whole(web.Response):
    """An answer whose body is there already; ``body`` is bytes."""

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Write all of it at once, if nothing about it is out of the ordinary (RFC 9112 section 4)."""
        body, transport = self.body, request.transport
        if (
            not isinstance(body, bytes)
            or len(body) > _LARGEST
            or request.version != HttpVersion11
            or request.method == "HEAD"
            or self.status in _BODILESS
            or self.chunked
            or self.compression
            or self.cookies
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size() > _WAITING
        ):
            return await super()._start(request)
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        transport.write(self._head(body) + body)
        self._req = request
        self._payload_writer = request._payload_writer  # noqa: SLF001 - that is how aiohttp knows an answer that has begun
        self._eof_sent = True
        return self._payload_writer

    def _head(self, body: bytes) -> bytes:
        """Return the head; raise ValueError for a header that would be two."""
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if name not in {"Content-Length", "Connection"}]
        lines += [f"Content-Length: {len(body)}", f"Date: {_date(int(time.time()))}"]
        if not self._keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
            raise ValueError("a header has a line break in it")
        return head.encode("utf-8") + b"\r\n\r\n"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
