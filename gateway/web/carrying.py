"""Carrying one call to slurmrestd and its answer back, as it is: a small answer whole, a large one as it arrives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Server
from gateway.errors import Refusal, SlurmRefusedGateway
from gateway.proxy.connection import Reply
from gateway.proxy.forward import Content, Upstream
from gateway.proxy.headers import Head, reply_headers
from gateway.slurm.meaning import Explained, controller_answers, explain, might_have_refused_the_token, refused_the_token, telltale
from gateway.web import problem
from gateway.web.call import BeforeStream, Call
from gateway.web.whole import Whole

# A reply up to this size is taken whole: its meaning can be read, and it goes out in one piece.
SMALL = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What slurmrestd answered, whole; ``headers`` are those that are passed on."""

    status: int
    headers: dict[str, str]
    content: bytes

    def response(self) -> Whole:
        """Return it as the client gets it."""
        return Whole(status=self.status, headers=self.headers, body=self.content)


class Carrier:
    """Sends calls and gives their answers back."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings

    async def carry(self, call: Call, head: Head, body: Content | None = None) -> Answer | web.StreamResponse:
        """Send ``head`` and a body; return the answer if it is small, else the response whose body has gone out already."""
        upstream = call.access.upstream
        async with upstream.exchange(head, body, repeatable=not call.context.changes) as reply:
            content = await small_content(upstream, reply)
            if content is None:
                return await self._stream(call, reply)
        return await self.finish(call, head, Answer(status=reply.status, headers=reply_headers(reply.headers), content=content))

    async def finish(self, call: Call, head: Head, answer: Answer) -> Answer:
        """Return the answer as the client gets it; raise SlurmRefusedGateway as ``judge`` does."""
        return explained(call, answer, controller_answers=await self.judge(call, head, answer))

    async def judge(self, call: Call, head: Head, answer: Answer) -> bool | None:
        """Raise SlurmRefusedGateway if the answer says, or another one to the same token does, that Slurm refuses the minted token.

        Return whether slurmctld answers, where the answer left that open; else None.
        """
        refused = refused_the_token(answer.status, answer.content)
        controller = None
        if not refused and might_have_refused_the_token(answer.status, answer.content):
            refused, controller = await _telltale(call.access.upstream, head, call.path)
        if refused:
            raise SlurmRefusedGateway(f"slurmrestd answered {answer.status} to the minted token")
        return controller

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


async def _telltale(upstream: Upstream, head: Head, path: str) -> tuple[bool, bool | None]:
    """Tell by a call that says so whether Slurm refuses the token of ``head``, and whether slurmctld answers, if that can be told."""
    probe = Head(method="GET", target=telltale(path), username=head.username, token=head.token)
    try:
        async with upstream.exchange(probe, repeatable=True) as reply:
            content = await small_content(upstream, reply) or b""
    except Refusal:
        return False, None
    return refused_the_token(reply.status, content), controller_answers(reply.status, content)


def explained(call: Call, answer: Answer, *, controller_answers: bool | None = None) -> Answer:
    """Return the answer with the status that is true of it and a hint, or as a problem document where slurmrestd made no JSON of it."""
    typed = answer.headers.get("Content-Type")
    found = explain(call.method, call.path, answer.status, typed, answer.content, controller_answers=controller_answers)
    if found is None:
        return answer
    if found.body is None:
        content = problem.of_slurm(found, call.context.id)
        return Answer(status=found.status, headers={**answer.headers, "Content-Type": problem.CONTENT_TYPE}, content=content)
    return Answer(status=found.status, headers=answer.headers, content=_with_what_was_left(found, found.body, call.context.not_repaired))


def _with_what_was_left(found: Explained, body: bytes, why: str | None) -> bytes:
    """Return the body of an error whose hint tells, too, why the request was not repaired."""
    if why is None or found.status < 400:  # noqa: PLR2004 - RFC 9110 section 15.5
        return body
    more = f"{found.hint} The gateway sent the body as it came, for it has {why}."
    return body.replace(json.dumps(found.hint).encode(), json.dumps(more).encode(), 1)
