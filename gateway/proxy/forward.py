"""Carrying one request to slurmrestd: sent once, or, if it changes nothing, once more when a kept connection turned out dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from gateway.config import Cluster
from gateway.errors import UpstreamBroken, UpstreamTimeout
from gateway.proxy.connection import Connection, Reply
from gateway.proxy.headers import Head
from gateway.proxy.pool import Pool


class Upstream:
    """One cluster's slurmrestd."""

    def __init__(self, settings: Cluster, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self.pool = Pool(settings, loop)
        url = settings.endpoints[0]
        self._host = "localhost" if url.path is not None else str(url)

    def exchange(self, head: Head, body: AsyncIterator[bytes] | None = None, *, repeatable: bool) -> Exchange:
        """Return an exchange to be entered with ``async with``: it sends the request and gives the reply once the head is there.

        A kept connection is used only when the kernel says at that moment that slurmrestd has not closed it. A new one for each
        changing request would prove a little more, but 22.05 at times confuses connections that are opened and closed in quick
        succession (one submission in some thousands was reset).

        Entering raises UpstreamBusy, UpstreamUnreachable (not sent), UpstreamTimeout, UpstreamBroken (sent; outcome unknown).
        """
        return Exchange(self, head, body, repeatable=repeatable)

    async def start(self, head: Head, body: AsyncIterator[bytes] | None, *, repeatable: bool) -> tuple[Connection, Reply]:
        """Send a request and return its reply, with the connection that is to be released."""
        return await self._start(head, body, fresh=False, repeatable=repeatable and body is None)

    async def _start(self, head: Head, body: AsyncIterator[bytes] | None, *, fresh: bool, repeatable: bool) -> tuple[Connection, Reply]:
        connection = await self.pool.acquire(fresh=fresh)
        try:
            return connection, await self._send(connection, head, body)
        except BaseException as error:
            connection.close()
            self.pool.release(connection)
            # slurmrestd had closed the kept connection, at the latest just as it was used: nothing of an answer ever came.
            if not (isinstance(error, UpstreamBroken) and repeatable and connection.failed_when_reused):
                raise
        return await self._start(head, body, fresh=True, repeatable=False)

    async def _send(self, connection: Connection, head: Head, body: AsyncIterator[bytes] | None) -> Reply:
        reply = connection.start(head.encode(self._host))
        if body is not None:
            await self._send_body(connection, reply, body)
        await reply.head(self._settings.answer_timeout)
        return reply

    async def _send_body(self, connection: Connection, reply: Reply, body: AsyncIterator[bytes]) -> None:
        """Send the body piece by piece, and stop as soon as slurmrestd answers (RFC 9112 section 9.5)."""
        connection.expect_body()
        async for piece in until(body, reply.settled()):
            try:
                async with asyncio.timeout(self._settings.read_timeout):
                    await connection.send(piece)
            except TimeoutError:
                raise UpstreamTimeout("slurmrestd does not read the request") from None
        if not reply.answered:
            connection.body_sent()

    async def body(self, reply: Reply) -> AsyncIterator[bytes]:
        """Yield the body of ``reply``; raise UpstreamBroken or UpstreamTimeout when it does not come to its end."""
        try:
            async for chunk in reply.chunks(self._settings.read_timeout):
                yield chunk
        except TimeoutError:
            raise UpstreamTimeout("the answer stopped arriving") from None

    async def ping(self) -> None:
        """Raise UpstreamUnreachable, UpstreamTimeout or UpstreamBroken unless slurmrestd answers; it does so to strangers with 401."""
        connection = await self.pool.acquire(fresh=True)
        try:
            reply = connection.start(f"GET /openapi HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
            await reply.head(self._settings.connect_timeout)
        finally:
            connection.close()
            self.pool.release(connection)


async def until(pieces: AsyncIterator[bytes], end: asyncio.Future[None]) -> AsyncIterator[bytes]:
    """Yield ``pieces`` until they end or ``end`` is done, whichever is first, without waiting for a piece that may never come."""
    source = aiter(pieces)
    while not end.done():
        piece = asyncio.ensure_future(anext(source, b""))
        try:
            await asyncio.wait((piece, end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not piece.done():
                piece.cancel()
                await asyncio.wait((piece,))
        if piece.cancelled() or not (data := piece.result()):
            return
        yield data


class Exchange:
    """One request and its reply; leaving the block gives the connection back, or closes it when the reply was not read to its end."""

    __slots__ = ("_body", "_connection", "_head", "_repeatable", "_upstream")

    def __init__(self, upstream: Upstream, head: Head, body: AsyncIterator[bytes] | None, *, repeatable: bool) -> None:
        self._upstream = upstream
        self._head = head
        self._body = body
        self._repeatable = repeatable
        self._connection: Connection | None = None

    async def __aenter__(self) -> Reply:
        self._connection, reply = await self._upstream.start(self._head, self._body, repeatable=self._repeatable)
        return reply

    async def __aexit__(self, raised: type[BaseException] | None, *_: object) -> None:
        if self._connection is not None:
            if raised is not None:
                self._connection.close()
            self._upstream.pool.release(self._connection)
