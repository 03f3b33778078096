"""Which versions of the API each cluster serves: learnt from its slurmrestd with a caller's token, and believed for a while.

Nothing that can go on without waits for it. ``latest`` can not, nor can the word on a call that slurmrestd does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import structlog
from aiohttp import web

from gateway.errors import Refusal
from gateway.proxy.forward import Upstream
from gateway.proxy.headers import Head
from gateway.slurm.versions import LATEST, resolve, served_versions
from gateway.web.call import Call

logger = structlog.get_logger()

_BELIEVED = 300.0
# After a look, so long until another one because of a doubt, or because it failed.
_PAUSE = 5.0
# So long somebody waits for the look of another one, who may have many calls waiting before it.
_PATIENCE = 2.0
# So long a version is refused by what is known, before that is looked at anew.
_REFUSING = 30.0
# The older name is that of releases which do not have the other.
_DOCUMENTS = ("/openapi/v3", "/openapi")
_MOST = 32 * 1024 * 1024
_NO_SUCH_CALL = 404
# Those who poll ask for the same few again and again.
_resolved = lru_cache(maxsize=1024)(resolve)


@dataclass(slots=True)
class _Known:
    """What is known of one cluster, when it was looked at (monotonic seconds), and the look that is under way."""

    served: tuple[str, ...] = ()
    learnt: float = float("-inf")
    looked: float = float("-inf")
    look: asyncio.Task[None] | None = None


class Versions:
    """Puts the real version into the path of a call, and says which versions come to their end; ``enabled`` false leaves paths as they are."""

    def __init__(self, *, enabled: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._enabled = enabled
        self._clock = clock
        self._clusters: dict[str, _Known] = {}

    def close(self) -> None:
        """Give up what is under way."""
        for known in self._clusters.values():
            if known.look is not None:
                known.look.cancel()

    async def real(self, call: Call) -> Call:
        """Return the call with the path that it means; note in its context what its answer says of the version.

        Raises VersionGone and NotFound for a version that the cluster is known not to serve, and for ``latest``, while nothing is known, what
        the look for it raises.
        """
        if not self._enabled:
            return call
        known = self._of(call)
        if not known.served and _version_of(call.path) == LATEST:
            await self._look(known, call)
        try:
            resolved = _resolved(call.path, known.served)
        except Refusal:
            # Slurm may have been upgraded meanwhile; whoever keeps asking for what is gone does not keep us looking.
            if known.look is None and self._clock() - known.looked < _REFUSING:
                raise
            with contextlib.suppress(Refusal):
                await self._look(known, call)
            resolved = resolve(call.path, known.served)
        call.context.headers.update(resolved.headers)
        if resolved.path == call.path:
            return call
        # The audit trail names what is done, and not a name whose meaning changes.
        call.context.path = call.context.path.removesuffix(call.path) + resolved.path
        return replace(call, path=resolved.path, asked_path=call.path)

    async def after(self, call: Call, response: web.StreamResponse) -> None:
        """Look anew if it is time; raise VersionGone and NotFound if that is why slurmrestd knows no such call."""
        if not self._enabled:
            return
        known, now = self._of(call), self._clock()
        in_doubt = response.status == _NO_SUCH_CALL and not response.prepared and response.content_type != "application/json"
        if now - known.looked < _PAUSE or (not in_doubt and now - known.learnt < _BELIEVED) or not _version_of(call.path):
            return
        try:
            look = self._start(known, call)
            if in_doubt:
                await asyncio.shield(look)
        except Refusal:
            return  # there is an answer already
        if in_doubt:
            resolve(call.path, known.served)

    def _of(self, call: Call) -> _Known:
        if (known := self._clusters.get(call.cluster)) is None:
            known = self._clusters[call.cluster] = _Known()
        return known

    async def _look(self, known: _Known, call: Call) -> None:
        """Look, or wait for the look under way; what that one's caller is refused is nobody else's refusal."""
        if (others := known.look) is not None:
            await asyncio.wait((others,), timeout=_PATIENCE)
            if others.done() and not others.cancelled() and others.exception() is None:
                return
            if known.look is others:
                await self._learn(known, call)
                return
        await asyncio.shield(self._start(known, call))

    def _start(self, known: _Known, call: Call) -> asyncio.Task[None]:
        """Begin a look, or return the one under way."""
        if known.look is None:
            known.look = asyncio.create_task(self._learn(known, call))
            known.look.add_done_callback(lambda look: self._looked(known, look))
        return known.look

    def _looked(self, known: _Known, look: asyncio.Task[None]) -> None:
        known.look = None
        known.looked = self._clock()
        if not look.cancelled() and (error := look.exception()) is not None:
            logger.info("versions_unknown", cause=error.cause if isinstance(error, Refusal) else type(error).__name__)

    async def _learn(self, known: _Known, call: Call) -> None:
        """Ask for the documents until one names versions; keep what is known when none does."""
        # The answer to the call itself may have taken longer than its token was good for.
        now = replace(call, context=replace(call.context, now=time.time()), method="GET", query="")
        for document in _DOCUMENTS:
            head = replace(now, path=document).head(accept="application/json")
            served = await asyncio.to_thread(served_versions, await _document(call.access.upstream, head))
            if served:
                if served != known.served:
                    logger.info("versions", cluster=call.cluster, served=list(served))
                known.served, known.learnt = served, self._clock()
                return


async def _document(upstream: Upstream, head: Head) -> bytes:
    """Return what is answered with 200, nothing for any other answer and for one that is larger than any such document."""
    pieces: list[bytes] = []
    size = 0
    async with upstream.exchange(head, repeatable=True) as reply:
        if reply.status != 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
            return b""
        async for piece in upstream.body(reply):
            size += len(piece)
            if size > _MOST:
                return b""
            pieces.append(piece)
    return b"".join(pieces)


def _version_of(path: str) -> str:
    """Return what stands in the place of the version, empty where a path has none."""
    _, room, version, *_ = *path.split("/", 3), ""
    return version if room in {"slurm", "slurmdb"} else ""
