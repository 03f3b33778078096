"""Who gets a connection to a cluster's slurmrestd, and when: a few calls of each person, in turn, while slurmrestd is well.

A call needs its person's turn and a place at a slurmrestd. Both are given without I/O and without waiting when they are free; whoever waits
is served as soon as either comes free, so nobody waits who could go. That is why a newcomer need not look at the queue.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config import Cluster, Fairness
from gateway.errors import TooManyCalls, UpstreamBusy, UpstreamUnreachable
from gateway.proxy.checkup import Checkup
from gateway.proxy.connection import Connection
from gateway.proxy.endpoints import Endpoint, choose, places_of, usable
from gateway.proxy.fairness import Full, Turns, share
from gateway.proxy.headers import Head

_DEFAULT = Fairness()
# Seconds after which whoever was refused may find the queue shorter. Nobody knows how long the calls in it take.
_RETRY_AFTER = 2


def uncounted(_: str) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """A call that waits: whose it is, which slurmrestd it would rather not go to, and which of those it could not connect to."""

    user: str
    avoid: tuple[Endpoint, ...]
    failed: tuple[Endpoint, ...]
    granted: asyncio.Future[Endpoint]


class Pool:
    """Connections to all slurmrestd of one cluster."""

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
        # Kept, for asyncio.get_running_loop() asks the kernel for the process's id each time (Python 3.11).
        self._loop = loop
        self._refused = refused
        places = places_of(settings, workers)
        self.endpoints = tuple(Endpoint(number, settings, places, loop) for number in range(len(settings.endpoints)))
        self._usable = self.endpoints
        # The one that all calls go to, where there is but one.
        self._only = self.endpoints[0] if len(self.endpoints) == 1 else None
        self._turn = 0
        self._turns = Turns[_Ticket](per_user=share(fairness.per_user, workers), waiting_per_user=fairness.waiting_per_user, waiting=fairness.waiting)
        self.checkup = Checkup(settings, self.endpoints, loop, self._review, cluster=cluster)

    @property
    def taken(self) -> int:
        """Calls that are under way now."""
        return sum(endpoint.taken for endpoint in self.endpoints)

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn or for a place."""
        return self._turns.waiting

    @property
    def held_back(self) -> int:
        """Those of them that wait for other calls of the same person."""
        return self._turns.held_back

    def at_once(self, head: Head) -> Connection | None:
        """Return a kept connection for this call if nothing stands in its way: most calls on most days need no more."""
        endpoint = self._only
        if endpoint is None or endpoint.taken >= endpoint.places or not self._turns.enter(head.username):
            return None
        connection = endpoint.reuse()
        if connection is None:
            self._turns.leave(head.username)
            return None
        self._take(endpoint)
        connection.user = head.username
        return connection

    async def acquire(self, head: Head, *, fresh: bool = False, avoid: Endpoint | None = None) -> Connection:
        """Return a connection for this call, a new one if ``fresh``, to another slurmrestd than ``avoid`` if that can be.

        Where one cannot be reached, the others are tried. Raises TooManyCalls, UpstreamBusy or UpstreamUnreachable, nothing having been sent.
        """
        avoided = () if avoid is None else (avoid,)
        failed: tuple[Endpoint, ...] = ()
        while True:
            endpoint = self._claim(head, (*avoided, *failed), failed) or await self._wait(head, (*avoided, *failed), failed)
            try:
                connection = (None if fresh else endpoint.reuse()) or await endpoint.open()
            except UpstreamUnreachable:
                self.checkup.could_not_connect(endpoint)  # before the place is free, so that nobody is sent after it
                self._leave(endpoint, head.username)
                failed = (*failed, endpoint)
                if not await self._another(head, failed):
                    raise
            except BaseException:
                self._leave(endpoint, head.username)
                raise
            else:
                connection.user = head.username
                return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back, with the place and the turn of its call."""
        endpoint = self.endpoint_of(connection)
        endpoint.put_back(connection)
        self._leave(endpoint, connection.user)

    def recovered(self, connection: Connection) -> None:
        """Note that an answer came from where there was trouble."""
        self.checkup.answered(self.endpoint_of(connection))

    def broke_off(self, connection: Connection) -> None:
        """Note that slurmrestd broke a call off."""
        if connection.failed_when_new:
            self.checkup.broke_off(self.endpoint_of(connection))

    def endpoint_of(self, connection: Connection) -> Endpoint:
        """Return the slurmrestd that a connection leads to."""
        return self.endpoints[connection.origin.number]

    def close(self) -> None:
        """Close what idles; what is under way closes when it is released."""
        self.checkup.close()
        for endpoint in self.endpoints:
            endpoint.close()

    def _claim(self, head: Head, avoid: tuple[Endpoint, ...] = (), failed: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """Take a place and a turn if both are free."""
        if self._usable and len(self.endpoints) > 1:
            self.checkup.pass_by(head)
        endpoint = self._free(avoid, failed)
        if endpoint is None or not self._turns.enter(head.username):
            return None
        self._take(endpoint)
        return endpoint

    def _free(self, avoid: tuple[Endpoint, ...] = (), failed: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """Return where there is a place."""
        self._turn += 1
        return choose(self._left(failed) or self._usable if failed else self._usable, self._turn, avoid)

    def _left(self, failed: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Return those that have not failed: a doubtful one where no better one is left, for a doubt is less than a failure."""
        better = tuple(endpoint for endpoint in self._usable if endpoint not in failed)
        return better or tuple(endpoint for endpoint in self.endpoints if endpoint.breaker.closed and endpoint not in failed)

    async def _another(self, head: Head, failed: tuple[Endpoint, ...]) -> bool:
        """Tell whether there is one that has not failed, if need be once it is known which may be well again.

        With none left, those that were left alone are asked before their time: they may be what is left of the cluster.
        """
        if not self._left(failed):
            self.checkup.knock(head, early=set(self.endpoints) - set(failed))
            await self.checkup.readmissions(lambda: bool(self._left(failed)))
        return bool(self._left(failed))

    def _take(self, endpoint: Endpoint) -> None:
        endpoint.taken += 1
        if endpoint.watch is None:
            self.checkup.watch(endpoint)

    async def _wait(self, head: Head, avoid: tuple[Endpoint, ...], failed: tuple[Endpoint, ...]) -> Endpoint:
        """Wait for a turn and a place; a call that has been on its way already goes before its person's others."""
        if not self._usable and not self.checkup.knock(head):
            raise self._unreachable()
        ticket = _Ticket(head.username, avoid, failed, self._loop.create_future())
        full = self._turns.queue(ticket.user, ticket, first=bool(avoid))
        if full is not None:
            raise self._full(full)
        timer = self._loop.call_later(self._settings.pool_wait, self._give_up, ticket)
        try:
            return await ticket.granted
        except BaseException:
            if ticket.granted.done() and not ticket.granted.cancelled() and ticket.granted.exception() is None:
                self._leave(ticket.granted.result(), ticket.user)
            else:
                self._turns.withdraw(ticket.user, ticket)
            raise
        finally:
            timer.cancel()

    def _leave(self, endpoint: Endpoint, user: str) -> None:
        endpoint.taken -= 1
        self._turns.leave(user)
        if self._turns.waiting:
            self._serve()

    def _serve(self) -> None:
        """Hand turns and places to those who wait, as long as there are both."""
        while (endpoint := self._free()) is not None:
            ticket = self._turns.next()
            if ticket is None:
                return
            if ticket.granted.done():  # it has given up, and nobody has noticed yet
                self._turns.leave(ticket.user)
                continue
            endpoint = (self._free(ticket.avoid, ticket.failed) if ticket.avoid else None) or endpoint
            self._take(endpoint)
            ticket.granted.set_result(endpoint)

    def _review(self) -> None:
        """Look anew where calls may go; send those home who wait for nothing."""
        self._usable = usable(self.endpoints)
        self._only = self._usable[0] if len(self.endpoints) == len(self._usable) == 1 else None
        if self._usable:
            self._serve()
            return
        for ticket in self._turns.clear():
            if not ticket.granted.done():
                ticket.granted.set_exception(self._unreachable())

    def _give_up(self, ticket: _Ticket) -> None:
        if not ticket.granted.done():
            self._refused("waited_too_long")
            ticket.granted.set_exception(UpstreamBusy("waited_too_long", headers=_after(_RETRY_AFTER)))

    def _full(self, full: Full) -> TooManyCalls | UpstreamBusy:
        self._refused(f"full_{full.value}")
        refusal = TooManyCalls if full is Full.OF_USER else UpstreamBusy
        return refusal(f"queue full: {full.value}", headers=_after(_RETRY_AFTER))

    def _unreachable(self) -> UpstreamUnreachable:
        self._refused("breaker_open")
        return UpstreamUnreachable("breaker_open", headers=_after(self.checkup.wait()))


def _after(seconds: float) -> tuple[tuple[str, str], ...]:
    """Return when to come back, in whole seconds (RFC 9110 section 10.2.3)."""
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)
