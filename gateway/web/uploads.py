"""The request's body on its way to slurmrestd: with a length it is passed through; chunked or compressed it is collected first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Server
from gateway.errors import BadRequest, TooLarge, UpstreamBusy
from gateway.proxy.forward import Content
from gateway.proxy.headers import content_length
from gateway.web import body as bodies
from gateway.web.decoding import content_coding, decoded

# A request up to this size is taken whole first, so that one that is slow to send it holds no connection to slurmrestd meanwhile.
_SMALL_UPLOAD = 1024 * 1024
_WITH_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request body: its length, and its pieces (None without a body); ``content`` is the whole of it, where it is there at once.

    ``came`` is what the client sent, where a repair has made something else of it.
    """

    length: int | None
    pieces: AsyncIterator[bytes] | None
    content: bytes | None = None
    came: bytes | None = None

    @property
    def body(self) -> Content | None:
        """The body as it is sent: a small one goes out with its head."""
        return self.content if self.content is not None and 0 < len(self.content) <= _WITH_HEAD else self.pieces

    @classmethod
    def of(cls, content: bytes) -> Upload:
        """Return a body that is there whole."""
        return cls(length=len(content), pieces=once(content) if content else None, content=content)


class Uploads:
    """Takes request bodies in; few that are held whole at once, unless they are small."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.max_chunked)

    def of(self, request: web.BaseRequest, *, whole: int = 0) -> _Taking:
        """Return the body of ``request``, to be entered with ``async with``; up to ``whole`` bytes it is there whole.

        Entering raises BadRequest, TooLarge, UnsupportedCoding, RequestTimeout, UpstreamBusy.
        """
        return _Taking(self._turns, request, self._settings, whole)


class _Taking:
    """One body being taken in; slurmrestd takes no chunks and no content codings (406)."""

    def __init__(self, turns: asyncio.Semaphore, request: web.BaseRequest, settings: Server, whole: int) -> None:
        self._turns = turns
        self._request = request
        self._settings = settings
        self._whole = whole
        self._has_turn = False

    async def __aenter__(self) -> Upload:
        request, limit = self._request, self._settings.max_body
        bodies.expects_continue(request)
        length = content_length(request.headers.getall("Content-Length", []))
        chunked = "Transfer-Encoding" in request.headers
        coding = content_coding(request.headers.getall("Content-Encoding", []))
        if request.method in {"GET", "HEAD"} and (length or chunked):
            raise BadRequest("get_with_body", detail=f"A {request.method} has no body.", hint="Put parameters into the query string.")
        if length is not None and length > limit:
            raise TooLarge(f"{length} bytes declared", detail=f"The body has {length} bytes; the limit is {limit}.")
        if chunked or (length and (coding is not None or _SMALL_UPLOAD < length <= self._whole)):
            return await self._collected(limit, coding)
        if not length:
            # slurmrestd answers 411 to a POST without a length.
            return Upload(length=0 if request.method == "POST" else None, pieces=None)
        pieces = bodies.pieces(request, limit=limit, timeout=self._settings.body_timeout)
        if length <= _SMALL_UPLOAD:
            return Upload.of(b"".join([piece async for piece in pieces]))
        return Upload(length=length, pieces=pieces)

    async def _collected(self, limit: int, coding: str | None) -> Upload:
        timeout = self._settings.body_timeout
        try:
            async with asyncio.timeout(timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise UpstreamBusy("too many bodies to be collected at once", detail="Too many such uploads are under way. Nothing was sent.") from None
        self._has_turn = True
        try:
            pieces = bodies.pieces(self._request, limit=limit, timeout=timeout)
            parts = [piece async for piece in pieces] if coding is None else await decoded(pieces, coding, limit=limit)
        except BaseException:
            await self.__aexit__()
            raise
        length = sum(map(len, parts))
        if length <= max(_SMALL_UPLOAD, self._whole):
            return Upload.of(b"".join(parts))
        return Upload(length=length, pieces=in_pieces(parts))

    async def __aexit__(self, *_: object) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.release()


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Yield ``content`` as a body of one piece."""
    yield content


async def in_pieces(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield a body that is there already."""
    for part in parts:
        yield part
