"""The request's body on its way to slurmrestd: with a length it is passed through, chunked it is collected first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Server
from gateway.errors import BadRequest, TooLarge, UpstreamBusy
from gateway.proxy.headers import content_length
from gateway.web import body as bodies

# A request up to this size is taken whole first, so that one that is slow to send it holds no connection to slurmrestd meanwhile.
_SMALL_UPLOAD = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request body: its length, and its pieces (None without a body)."""

    length: int | None
    pieces: AsyncIterator[bytes] | None


class Uploads:
    """Takes request bodies in; few that are chunked at once, for those are held whole."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings
        self._chunked_turns = asyncio.Semaphore(settings.max_chunked)

    def of(self, request: web.BaseRequest) -> _Taking:
        """Return the body of ``request``, to be entered with ``async with``; entering raises BadRequest, TooLarge, RequestTimeout, UpstreamBusy."""
        return _Taking(self._chunked_turns, request, self._settings)


class _Taking:
    """One body being taken in; slurmrestd takes no chunks (406)."""

    def __init__(self, turns: asyncio.Semaphore, request: web.BaseRequest, settings: Server) -> None:
        self._turns = turns
        self._request = request
        self._settings = settings
        self._has_turn = False

    async def __aenter__(self) -> Upload:
        request, limit = self._request, self._settings.max_body
        if any(coding.casefold() != "identity" for coding in request.headers.getall("Content-Encoding", [])):
            raise BadRequest(
                "content_encoded", detail="The body is compressed, which slurmrestd does not take.", hint="Send it without Content-Encoding."
            )
        bodies.expects_continue(request)
        length = content_length(request.headers.getall("Content-Length", []))
        chunked = "Transfer-Encoding" in request.headers
        if request.method == "GET" and (length or chunked):
            raise BadRequest("get_with_body", detail="A GET has no body.", hint="Put parameters into the query string.")
        if length is not None and length > limit:
            raise TooLarge(f"{length} bytes declared", detail=f"The body has {length} bytes; the limit is {limit}.")
        if chunked:
            return await self._collected(limit)
        if not length:
            # slurmrestd answers 411 to a POST without a length.
            return Upload(length=0 if request.method == "POST" else None, pieces=None)
        pieces = bodies.pieces(request, limit=limit, timeout=self._settings.body_timeout)
        if length <= _SMALL_UPLOAD:
            pieces = once(b"".join([piece async for piece in pieces]))
        return Upload(length=length, pieces=pieces)

    async def _collected(self, limit: int) -> Upload:
        timeout = self._settings.body_timeout
        try:
            async with asyncio.timeout(timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise UpstreamBusy("too many chunked bodies at once", detail="Too many chunked uploads are under way. Nothing was sent.") from None
        self._has_turn = True
        try:
            content = await bodies.whole(self._request, limit=limit, timeout=timeout)
        except BaseException:
            await self.__aexit__()
            raise
        return Upload(length=len(content), pieces=once(content) if content else None)

    async def __aexit__(self, *_: object) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.release()


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Yield ``content`` as a body of one piece."""
    yield content
