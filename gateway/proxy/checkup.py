"""Asking after the health of a cluster's slurmrestd: when one is left alone, when it is asked, and what its answer means.

Three questions are asked, each on a connection of its own, and none of them is anybody's call, so that none leaves an outcome unknown:

* One that was left alone gets ``/diag``, with the name and token of the next call that comes. Any answer lets calls in again.
* One that broke off several calls, or says nothing for a while though it has calls, is asked by a stranger. If it lives it refuses at once,
  even while its slurmctld does not answer; if it says nothing, it is left alone.
* Of several, each gets ``/diag`` from time to time. One that refuses what another grants is not used while the other is there.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Container, Coroutine, Sequence

import structlog

from gateway.config import Cluster
from gateway.errors import Refusal, UpstreamTimeout
from gateway.proxy.breaker import State
from gateway.proxy.connection import Connection
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.headers import Head

logger = structlog.get_logger()
_VERSION = re.compile(r"/slurm(?:db)?/(v0\.0\.[0-9]{1,3})/")
_REFUSED = 400


class Checkup:
    """Keeps the breakers of a cluster's slurmrestd; calls ``changed`` whenever calls may go elsewhere than before."""

    def __init__(
        self, settings: Cluster, endpoints: Sequence[Endpoint], loop: asyncio.AbstractEventLoop, changed: Callable[[], None], *, cluster: str
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._endpoints = endpoints
        self._loop = loop
        self._changed = changed
        self._next_round = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._readmissions: set[asyncio.Task[None]] = set()

    # What the pool tells, and asks.

    def could_not_connect(self, endpoint: Endpoint) -> None:
        """Count a connection that could not be made: after enough in a row it is left alone."""
        endpoint.troubled = True
        if endpoint.breaker.failed() and endpoint.breaker.closed:
            self._trip(endpoint)

    def broke_off(self, endpoint: Endpoint) -> None:
        """Count a call that was broken off without a byte: after enough in a row find out whether that is its fault, or the calls'."""
        endpoint.troubled = True
        if endpoint.breaker.failed() and endpoint.breaker.closed:
            self._suspect(endpoint)

    def answered(self, endpoint: Endpoint) -> None:
        """Note that it answered something: it lives."""
        closed = endpoint.breaker.closed
        endpoint.breaker.answered()
        endpoint.troubled = False
        if not closed:
            logger.info("slurmrestd_answers_again", cluster=self._cluster, endpoint=endpoint.number)
            self._next_round = 0.0
            self._changed()

    def pass_by(self, head: Head) -> None:
        """Let a call that goes its way lend its name to what is due, where there are several."""
        now = self._loop.time()
        if now >= self._next_round:
            self._next_round = now + self._settings.breaker_check
            self._start(self._compare(head))
        self.knock(head)

    def knock(self, head: Head, early: Container[Endpoint] = ()) -> bool:
        """Ask those that have been left alone for long enough, those in ``early`` before their time; tell whether an answer is worth waiting for."""
        now = self._loop.time()
        due = [endpoint for endpoint in self._endpoints if endpoint.breaker.due(math.inf if endpoint in early else now)]
        for endpoint in due:
            endpoint.breaker.half_open()
            self._readmissions.add(self._start(self._readmit(endpoint, head)))
        return bool(due)

    async def readmissions(self, enough: Callable[[], bool]) -> None:
        """Wait until there is ``enough``, or those that are being asked have all answered, or not."""
        while self._readmissions and not enough():
            await asyncio.wait(self._readmissions, return_when=asyncio.FIRST_COMPLETED)
            self._readmissions = {task for task in self._readmissions if not task.done()}

    def wait(self) -> float:
        """Return the seconds until one that is left alone is asked again."""
        now = self._loop.time()
        return min(endpoint.breaker.wait(now) for endpoint in self._endpoints)

    def watch(self, endpoint: Endpoint) -> None:
        """Look after a while whether one that has calls has said anything."""
        endpoint.watch = self._loop.call_later(self._settings.breaker_silence, self._look, endpoint, endpoint.heard)

    async def ping(self, endpoint: Endpoint) -> None:
        """Ask as a stranger, whom it refuses; raise UpstreamUnreachable, UpstreamTimeout or UpstreamBroken unless it answers."""
        await self._ask(endpoint, _strangers(endpoint), self._settings.connect_timeout)

    def close(self) -> None:
        """Ask nothing more."""
        for task in self._tasks:
            task.cancel()
        for endpoint in self._endpoints:
            if endpoint.watch is not None:
                endpoint.watch.cancel()
                endpoint.watch = None

    # What follows from it.

    def _trip(self, endpoint: Endpoint) -> None:
        """Leave it alone; what waits there for an answer and may be asked elsewhere is."""
        if endpoint.breaker.closed:
            logger.warning("slurmrestd_left_alone", cluster=self._cluster, endpoint=endpoint.number)
        endpoint.breaker.trip(self._loop.time())
        endpoint.troubled = True
        self._changed()
        if any(other.breaker.closed for other in self._endpoints):
            for connection in tuple(endpoint.opened):
                if connection.repeatable and connection.waits:
                    connection.close()

    def _look(self, endpoint: Endpoint, heard: int) -> None:
        endpoint.watch = None
        if not endpoint.taken:
            return
        if endpoint.heard == heard and endpoint.breaker.closed:
            self._suspect(endpoint)
        self.watch(endpoint)

    def _suspect(self, endpoint: Endpoint) -> None:
        if not endpoint.suspected:
            endpoint.suspected = True
            self._changed()
            self._start(self._find_out(endpoint))

    async def _find_out(self, endpoint: Endpoint) -> None:
        """Ask a suspect. With nobody else to ask, patience costs less than taking a slow one for a dead one."""
        elsewhere = any(other.breaker.closed for other in self._endpoints if other is not endpoint)
        limit = self._settings.connect_timeout if elsewhere else self._settings.breaker_probe
        try:
            lives = await self._lives(endpoint, _strangers(endpoint), limit)
        finally:
            endpoint.suspected = False
        if not lives and endpoint.breaker.closed:
            self._trip(endpoint)
        else:
            self._changed()

    async def _readmit(self, endpoint: Endpoint, head: Head) -> None:
        lives = await self._lives(endpoint, _diag(head).encode(endpoint.host), self._settings.breaker_probe)
        if not lives and endpoint.breaker.state is State.HALF_OPEN:
            self._trip(endpoint)

    async def _compare(self, head: Head) -> None:
        """Ask all the same thing in the same name: what one grants and another refuses is the other's trouble, not the name's."""
        asked = [endpoint for endpoint in self._endpoints if endpoint.breaker.closed]
        statuses = await asyncio.gather(*(self._status(endpoint, head) for endpoint in asked))
        granted = any(0 < status < _REFUSED for status in statuses)
        for endpoint, status in zip(asked, statuses, strict=True):
            ailing = granted and status >= _REFUSED
            if ailing != endpoint.ailing:
                logger.warning("slurmrestd_ails" if ailing else "slurmrestd_is_well", cluster=self._cluster, endpoint=endpoint.number, status=status)
            endpoint.ailing = ailing
        self._changed()

    async def _status(self, endpoint: Endpoint, head: Head) -> int:
        """Return what ``/diag`` is answered with, 0 without an answer: one that said nothing to anybody meanwhile is left alone."""
        heard = endpoint.heard
        try:
            return await self._ask(endpoint, _diag(head).encode(endpoint.host), self._settings.breaker_probe)
        except UpstreamTimeout:
            if endpoint.heard == heard and endpoint.breaker.closed:
                self._trip(endpoint)
        except Refusal:
            self.could_not_connect(endpoint)
        return 0

    async def _lives(self, endpoint: Endpoint, request: bytes, limit: float) -> bool:
        """Tell whether it answers, this or anything else meanwhile."""
        heard = endpoint.heard
        try:
            await self._ask(endpoint, request, limit)
        except Refusal:
            return endpoint.heard != heard
        return True

    async def _ask(self, endpoint: Endpoint, request: bytes, limit: float) -> int:
        """Return the status of the answer."""
        connection: Connection | None = None
        endpoint.asking += 1
        try:
            connection = await endpoint.open()
            reply = connection.start(request)
            await reply.head(limit)
            self.answered(endpoint)
            return reply.status
        finally:
            endpoint.asking -= 1
            if connection is not None:
                endpoint.discard(connection)

    def _start(self, question: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(question)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _strangers(endpoint: Endpoint) -> bytes:
    return f"GET /openapi HTTP/1.1\r\nHost: {endpoint.host}\r\n\r\n".encode()


def _diag(head: Head) -> Head:
    """Return the question in the name of ``head``, in the version that it speaks itself: any answer will do, but a known path says most."""
    version = _VERSION.match(head.target)
    return Head(method="GET", target=f"/slurm/{version[1]}/diag" if version else "/openapi", username=head.username, token=head.token)
