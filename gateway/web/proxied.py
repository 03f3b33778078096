"""Handler of Slurm's paths: the way of a request, in one straight line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Server
from gateway.errors import BadRequest, Refusal, SlurmRefusedGateway, TooLarge, UpstreamBusy
from gateway.policy.path import Target
from gateway.policy.route import is_submission, route
from gateway.proxy.connection import Reply
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head, content_length, reply_headers, single_value
from gateway.slurm.meaning import might_have_refused_the_token, refused_the_token, submitted_job_id
from gateway.slurm.minting import Minter
from gateway.web import body as bodies
from gateway.web.authority import Authority
from gateway.web.context import Context
from gateway.web.doorman import Doorman

# A reply up to this size is taken whole: its meaning can be read, and it goes out in one piece.
_SMALL = 64 * 1024
# A request up to this size is taken whole first, so that one that is slow to send it holds no connection to slurmrestd meanwhile.
_SMALL_UPLOAD = 1024 * 1024
# Of the releases that hide a refused token behind a 500 without a cause, all serve this version, and its ping names the cause.
_TELLTALE = "/slurm/v0.0.36/ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """What it takes to speak to one cluster: its slurmrestd, and the minter that it believes."""

    upstream: Upstream
    minter: Minter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    """A request body on its way: its length, and its pieces (None without a body)."""

    length: int | None
    pieces: AsyncIterator[bytes] | None


class ProxiedHandler:
    """Carries a request of somebody we know to slurmrestd and its reply back."""

    def __init__(
        self, *, doorman: Doorman, authority: Authority, clusters: Mapping[str, ClusterAccess], default_cluster: str, settings: Server
    ) -> None:
        self._doorman = doorman
        self._authority = authority
        self._clusters = clusters
        self._default_cluster = default_cluster
        self._settings = settings
        self._chunked_turns = asyncio.Semaphore(settings.max_chunked)

    async def handle(self, context: Context, target: Target, before_stream: Callable[[web.StreamResponse], Awaitable[None]]) -> web.StreamResponse:
        """Answer the request; ``before_stream`` is awaited with a large answer's head just before it goes out."""
        request = context.request
        identity = await self._doorman.identify(context)
        way = route(target.path, request.method, self._default_cluster, self._clusters)
        context.cluster = way.cluster
        self._authority.permit(context, identity, way)
        if context.changes:
            await self._doorman.require_trail()
        cluster = self._clusters[way.cluster]
        async with _Uploads(self._chunked_turns, request, self._settings) as upload:
            head = Head(
                method=request.method,
                target=f"{way.path}?{target.query}" if target.query else way.path,
                username=identity.username,
                token=cluster.minter.token(identity.subject, now=context.now, not_after=identity.expires_at),
                accept=single_value(request.headers.getall("Accept", []), "Accept"),
                content_type=single_value(request.headers.getall("Content-Type", []), "Content-Type"),
                content_length=upload.length,
            )
            async with cluster.upstream.exchange(head, upload.pieces, repeatable=not context.changes) as reply:
                content = await _small_content(cluster.upstream, reply)
                if content is None:
                    return await self._stream(context, cluster.upstream, reply, before_stream)
        if await _slurm_refuses(cluster.upstream, head, reply.status, content):
            raise SlurmRefusedGateway(f"slurmrestd answered {reply.status} to the minted token")
        if is_submission(request.method, way.path) and reply.status < 400:  # noqa: PLR2004 - RFC 9110 section 15.5
            context.job_id = submitted_job_id(content)
        return web.Response(status=reply.status, headers=reply_headers(reply.headers), body=content)

    async def _stream(
        self, context: Context, upstream: Upstream, reply: Reply, before_stream: Callable[[web.StreamResponse], Awaitable[None]]
    ) -> web.StreamResponse:
        """Pass a large reply on as it arrives, at the client's pace; a reply that breaks off is cut off, never made to look whole."""
        response = web.StreamResponse(status=reply.status, headers=reply_headers(reply.headers))
        response.content_length = reply.length
        await before_stream(response)
        request = context.request
        await response.prepare(request)
        try:
            async for chunk in upstream.body(reply):
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


async def _small_content(upstream: Upstream, reply: Reply) -> bytes | None:
    """Return the body of a small reply, or None for one that is to be streamed."""
    content = reply.whole_body()
    if content is None and reply.length is not None and reply.length <= _SMALL:
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
            return refused_the_token(reply.status, await _small_content(upstream, reply) or b"")
    except Refusal:
        return False


class _Uploads:
    """The request's body: with a length it is passed through, chunked it is collected first, for slurmrestd takes no chunks (406)."""

    def __init__(self, turns: asyncio.Semaphore, request: web.BaseRequest, settings: Server) -> None:
        self._turns = turns
        self._request = request
        self._settings = settings
        self._has_turn = False

    async def __aenter__(self) -> _Upload:
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
            return _Upload(length=0 if request.method == "POST" else None, pieces=None)
        pieces = bodies.pieces(request, limit=limit, timeout=self._settings.body_timeout)
        if length <= _SMALL_UPLOAD:
            pieces = _once(b"".join([piece async for piece in pieces]))
        return _Upload(length=length, pieces=pieces)

    async def _collected(self, limit: int) -> _Upload:
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
        return _Upload(length=len(content), pieces=_once(content) if content else None)

    async def __aexit__(self, *_: object) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.release()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
