"""Carrying one request to slurmrestd: sent once, or once more if that can do no harm: it changes nothing, or provably did not leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from gateway.config import Cluster, Fairness
from gateway.errors import Refusal, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.connection import Connection, Reply
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.headers import Head
from gateway.proxy.pool import Pool, uncounted

_DEFAULT = Fairness()
Content = AsyncIterator[bytes] | bytes
"""A request's body: in pieces as it comes, or a small one that is there whole."""


class Upstream:
    """One cluster's slurmrestd, one or several."""

    def __init__(
        self,
        settings: Cluster,
        loop: asyncio.AbstractEventLoop,
        *,
        fairness: Fairness = _DEFAULT,
        workers: int = 1,
        cluster: str = "",
        refused: Callable[[str], None] = uncounted,
    ) -> None:
        self._settings = settings
        self.pool = Pool(settings, loop, fairness=fairness, workers=workers, cluster=cluster, refused=refused)

    def exchange(self, head: Head, body: Content | None = None, *, repeatable: bool) -> Exchange:
        """Return an exchange to be entered with ``async with``: it sends the request and gives the reply once the head is there.

        A kept connection is used only when the kernel says at that moment that slurmrestd has not closed it. A new one for each
        changing request would prove a little more, but 22.05 at times confuses connections that are opened and closed in quick
        succession (one submission in some thousands was reset).

        Entering raises TooManyCalls, UpstreamBusy, UpstreamUnreachable (not sent), UpstreamTimeout, UpstreamBroken (sent; outcome unknown).
        """
        return Exchange(self, head, body, repeatable=repeatable)

    async def start(self, head: Head, body: Content | None, *, repeatable: bool) -> tuple[Connection, Reply]:
        """Send a request and return its reply, with the connection that is to be released.

        It is sent once more, and elsewhere if there is an elsewhere, when it is certain that nothing of it left, or when it may be repeated
        and not a byte of an answer came.
        """
        connection = self.pool.at_once(head) or await self.pool.acquire(head)
        again = repeatable and body is None
        try:
            return connection, await self._send(connection, head, body, repeatable=again)
        except BaseException as error:
            self._ended_early(connection, error)
            if not (isinstance(error, UpstreamBroken) and self._may_go_again(connection, repeatable=again)):
                raise
        connection = await self.pool.acquire(head, fresh=True, avoid=self.pool.endpoint_of(connection))
        try:
            return connection, await self._send(connection, head, body, repeatable=False)
        except BaseException as error:
            self._ended_early(connection, error)
            raise

    def _ended_early(self, connection: Connection, error: BaseException) -> None:
        """Give a connection back that no answer came on."""
        connection.close()
        if isinstance(error, UpstreamBroken):
            self.pool.broke_off(connection)
        self.pool.release(connection)

    def _may_go_again(self, connection: Connection, *, repeatable: bool) -> bool:
        if not connection.sent:
            return True
        # With one slurmrestd, only what a kept connection's end explains: a request that kills slurmrestd should not do so twice.
        return repeatable and (connection.failed_when_reused or (len(self.pool.endpoints) > 1 and connection.waited_in_vain))

    async def _send(self, connection: Connection, head: Head, body: Content | None, *, repeatable: bool) -> Reply:
        sent = head.encode(connection.origin.host)
        # A small body goes out with the head: one write, and slurmrestd wakes up once.
        reply = connection.start(sent + body if isinstance(body, bytes) else sent)
        connection.repeatable = repeatable
        if body is not None and not isinstance(body, bytes):
            await self._send_body(connection, reply, body)
        await reply.head(self._settings.answer_timeout)
        if connection.origin.troubled:
            self.pool.recovered(connection)
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
        """Raise UpstreamUnreachable, UpstreamTimeout or UpstreamBroken unless a slurmrestd answers; it does so to strangers with 401."""
        found = await asyncio.gather(*(self._ping(endpoint) for endpoint in self.pool.endpoints))
        failures = [refusal for refusal in found if refusal is not None]
        if len(failures) == len(found):
            raise failures[0] if len(failures) == 1 else UpstreamUnreachable("; ".join(f"{n}: {failure.cause}" for n, failure in enumerate(failures)))

    async def _ping(self, endpoint: Endpoint) -> Refusal | None:
        try:
            await self.pool.checkup.ping(endpoint)
        except Refusal as refusal:
            return refusal
        return None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its slurmrestd, in the order of the configuration: what is under way there, and how each is."""
        return self.pool.endpoints


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

    def __init__(self, upstream: Upstream, head: Head, body: Content | None, *, repeatable: bool) -> None:
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
