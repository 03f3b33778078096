"""Carrying one call to slurmrestd and its answer back, as it is: a small answer whole, a large one as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Server
from gateway.errors import Refusal, SlurmRefusedGateway
from gateway.proxy.connection import Reply
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head, reply_headers
from gateway.slurm.meaning import might_have_refused_the_token, refused_the_token
from gateway.web.call import BeforeStream, Call

# A reply up to this size is taken whole: its meaning can be read, and it goes out in one piece.
SMALL = 64 * 1024
# Of the releases that hide a refused token behind a 500 without a cause, all serve this version, and its ping names the cause.
_TELLTALE = "/slurm/v0.0.36/ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What slurmrestd answered, whole; ``headers`` are those that are passed on."""

    status: int
    headers: dict[str, str]
    content: bytes

    def response(self) -> web.Response:
        """Return it as the client gets it."""
        return web.Response(status=self.status, headers=self.headers, body=self.content)


class Carrier:
    """Sends calls and gives their answers back."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings

    async def carry(self, call: Call, head: Head, pieces: AsyncIterator[bytes] | None = None) -> Answer | web.StreamResponse:
        """Send ``head`` and a body; return the answer if it is small, else the response whose body has gone out already."""
        upstream = call.access.upstream
        async with upstream.exchange(head, pieces, repeatable=not call.context.changes) as reply:
            content = await small_content(upstream, reply)
            if content is None:
                return await self._stream(call, reply)
        answer = Answer(status=reply.status, headers=reply_headers(reply.headers), content=content)
        await self.judge(call, head, answer)
        return answer

    async def judge(self, call: Call, head: Head, answer: Answer) -> None:
        """Raise SlurmRefusedGateway if the answer says, or a ping with the same token does, that Slurm refuses the minted token."""
        if await _slurm_refuses(call.access.upstream, head, answer.status, answer.content):
            raise SlurmRefusedGateway(f"slurmrestd answered {answer.status} to the minted token")

    async def _stream(self, call: Call, reply: Reply) -> web.StreamResponse:
        """Pass a large reply on as it arrives."""
        response = web.StreamResponse(status=reply.status, headers=reply_headers(reply.headers))
        response.content_length = reply.length
        return await self.stream(call, response, call.access.upstream.body(reply))

    async def stream(self, call: Call, response: web.StreamResponse, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
        """Send ``pieces`` at the client's pace; an answer that breaks off is cut off, never made to look whole."""
        before: BeforeStream = call.before_stream
        await before(response)
        request = call.context.request
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            async for chunk in pieces:
                async with asyncio.timeout(self._settings.body_timeout):
                    await response.write(chunk)
        except BaseException as error:
            if request.transport is not None:
                request.transport.abort()
            if isinstance(error, TimeoutError):
                raise ConnectionResetError("the client does not read its answer") from error
            raise
        await response.write_eof()
        return response


async def small_content(upstream: Upstream, reply: Reply) -> bytes | None:
    """Return the body of a small reply, or None for one that is to be streamed."""
    content = reply.whole_body()
    if content is None and reply.length is not None and reply.length <= SMALL:
        content = b"".join([chunk async for chunk in upstream.body(reply)])
    return content


async def _slurm_refuses(upstream: Upstream, head: Head, status: int, content: bytes) -> bool:
    """Tell whether Slurm refuses the minted token; where the answer does not say, ping with the same token does."""
    if refused_the_token(status, content):
        return True
    if not might_have_refused_the_token(status, content):
        return False
    probe = Head(method="GET", target=_TELLTALE, username=head.username, token=head.token)
    try:
        async with upstream.exchange(probe, repeatable=True) as reply:
            return refused_the_token(reply.status, await small_content(upstream, reply) or b"")
    except Refusal:
        return False
