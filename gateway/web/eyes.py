"""Looking at a cluster's jobs on behalf of somebody who listens: through what people share, and taken apart in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from gateway.config import Views
from gateway.errors import Refusal, UpstreamBroken
from gateway.proxy.feed import Listener, Seen
from gateway.proxy.packing import TooLargeToKeep
from gateway.proxy.workshop import Workshop
from gateway.sessions.sessions import Identity
from gateway.slurm.body import Body
from gateway.slurm.news import News, States, news, seen, served, states_in
from gateway.slurm.versions import resolve
from gateway.slurm.views.reply import ListTooLarge
from gateway.web.call import Call, ClusterAccess
from gateway.web.carrying import Carrier
from gateway.web.context import Context
from gateway.web.reads import Reads

# The older name is that of releases which do not have the other.
_DOCUMENTS = ("/openapi/v3", "/openapi")
# How long a cluster's versions are believed: they change when its Slurm is upgraded.
_VERSIONS_FOR = 300.0
# So many looks of one cluster are taken apart at once: where each person has a list of their own they are many, and others have work done too.
_AT_ONCE = 4
# So long nobody tries again to learn them when somebody could not.
_PAUSE = 5.0
# So long somebody waits for another one's question before they ask it themselves: that one may have many calls waiting before it.
_PATIENCE = 2.0


class Guest(Listener):
    """Somebody who listens: the request that they came with, who they are as of the last look, and what they were let in for."""

    __slots__ = ("cluster", "context", "identity", "judged_path")

    def __init__(self, *, context: Context, identity: Identity, cluster: str, judged_path: str) -> None:
        super().__init__()
        self.context = context
        self.identity = identity
        self.cluster = cluster
        self.judged_path = judged_path


async def _unseen(_response: web.StreamResponse) -> None:
    """Let nothing out: what is looked at is not an answer."""


class Sight:
    """Whatever it takes to look at one cluster."""

    def __init__(self, *, cluster: str, access: ClusterAccess, reads: Reads, carrier: Carrier, workshop: Workshop, views: Views) -> None:
        self._cluster = cluster
        self._access = access
        self._reads = reads
        self._carrier = carrier
        self._workshop = workshop
        self._views = views
        self._served: tuple[str, ...] = ()
        self._served_until = -1.0
        self._asking = asyncio.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def eyes(self, owner: str) -> Gaze:
        """Return what looks at the jobs of ``owner``, or at everybody's if that is empty."""
        return Gaze(self, owner)

    def glance(self, context: Context, identity: Identity, path: str, query: str = "") -> Call:
        """Return a call of ``identity``'s, made now."""
        return Call(
            context=replace(context, now=time.time()),
            identity=identity,
            cluster=self._cluster,
            access=self._access,
            method="GET",
            path=path,
            query=query,
            before_stream=_unseen,
        )

    async def jobs_path(self, context: Context, identity: Identity) -> str:
        """Return the path of the list of jobs in the newest version that the cluster serves; raise Refusal."""
        if time.monotonic() >= self._served_until:
            if self._served:
                # Whoever comes meanwhile goes on with what is known.
                self._served_until = time.monotonic() + _PAUSE
                await self._learn(context, identity)
            else:
                await self._learn_first(context, identity)
        return resolve("/slurm/latest/jobs", self._served).path

    async def _learn_first(self, context: Context, identity: Identity) -> None:
        """Learn the versions, once for all who come at this moment, but wait for nobody for long."""
        has_turn = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                has_turn = await self._asking.acquire()
        try:
            if not self._served:
                await self._learn(context, identity)
        finally:
            if has_turn:
                self._asking.release()

    async def _learn(self, context: Context, identity: Identity) -> None:
        """Ask for the documents until one names versions; go on with what is known when none does."""
        for document in _DOCUMENTS:
            try:
                body, *_ = await self._read(self.glance(context, identity, document), 0.0)
                found = await self._workshop.run(served, body, user=identity.username)
            except _NotThere:
                continue
            except Refusal:
                if self._served:
                    return
                raise
            if found:
                self._served = found
                self._served_until = time.monotonic() + _VERSIONS_FOR
                return

    async def see(self, guest: Guest, newer_than: float) -> Seen:
        """Return the list of jobs; raise Refusal."""
        path = await self.jobs_path(guest.context, guest.identity)
        body, etag, began, ended = await self._read(self.glance(guest.context, guest.identity, path), newer_than)
        return Seen(body=body, etag=etag, began=began, ended=ended)

    async def states(self, call: Call, job_id: int, newer_than: float) -> States:
        """Return the states of a job by what a GET of it answers; none when that is an error, as of a job that is not there."""
        try:
            body, *_ = await self._read(call, newer_than)
        except _NotThere:
            return ()
        return await self._workshop.run(states_in, body, job_id, user=call.username) if body.compressed else states_in(body, job_id)

    async def news(self, before: Body | None, body: Body, owner: str, asked: Iterable[int]) -> News:
        """Return what is new in a list; raise Refusal."""
        async with self._turns:
            return await self._workshop.run(news, before, body, self._views.max_list, self._cluster, owner, tuple(asked), user=owner)

    async def seen(self, snapshot: Body, owner: str, asked: Iterable[int]) -> dict[int, States]:
        """Return the states of jobs as they were seen by the eyes of ``owner``; raise Refusal."""
        async with self._turns:
            return await self._workshop.run(seen, snapshot, tuple(asked), user=owner)

    async def _read(self, call: Call, newer_than: float) -> tuple[Body, str, float, float]:
        """Return a body, its ETag, and when the call that showed it began and ended; raise Refusal."""
        try:
            found = await self._reads.look_up(call, newer_than=newer_than)
        except TooLargeToKeep:
            raise ListTooLarge("events: too large to keep") from None
        kept = found.kept
        if kept is None:
            if found.other is None:
                raise RuntimeError("an answer is kept or it is not")
            answer = found.other.answer
            await self._carrier.judge(call, call.head(), answer)
            raise _NotThere(f"events: slurmrestd answered {answer.status}")
        return kept.whole.body, kept.whole.etag, kept.began, kept.ended


class Gaze:
    """One view of a cluster: the ``Eyes`` of a feed."""

    def __init__(self, sight: Sight, owner: str) -> None:
        self._sight = sight
        self._owner = owner

    async def look(self, listener: Listener, newer_than: float) -> Seen:
        """Return the list as ``listener`` may see it; raise Refusal."""
        if not isinstance(listener, Guest):
            raise TypeError("only guests have a name to look with")
        return await self._sight.see(listener, newer_than)

    async def news(self, before: Body | None, body: Body, asked: Iterable[int]) -> News:
        """Return what is new in it; raise Refusal."""
        return await self._sight.news(before, body, self._owner, asked)

    async def states(self, snapshot: Body, asked: Iterable[int]) -> dict[int, States]:
        """Return the states of jobs as they were seen; raise Refusal."""
        return await self._sight.seen(snapshot, self._owner, asked)


class _NotThere(UpstreamBroken):
    """slurmrestd answered something else than what it was asked for."""

    default_detail = "slurmrestd answered with an error."
    default_hint = "Ask for the list itself (GET /slurm/VERSION/jobs) to see what it says."
