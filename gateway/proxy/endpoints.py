"""One slurmrestd of a cluster: its connections, and what is known of its health; and which of several the next call goes to.

slurmrestd bears 124 connections in all and never closes an idle one, so their number is bounded, what idles is closed, and nothing
that failed is used again. All of it is decided here without I/O; opening is the one thing that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence

from gateway.config import Cluster
from gateway.errors import UpstreamUnreachable
from gateway.proxy.breaker import Breaker
from gateway.proxy.connection import Connection, Origin


class Endpoint(Origin):
    """Connections to one slurmrestd: those in use, at most ``places``, and those that idle."""

    def __init__(self, number: int, settings: Cluster, places: int, loop: asyncio.AbstractEventLoop) -> None:
        self._url = url = settings.endpoints[number]
        super().__init__(number, "localhost" if url.path is not None else str(url))
        self._settings = settings
        self._loop = loop
        self._idle: list[Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self.places = places
        self.taken = 0
        # Connections that ask after its health, beside the places.
        self.asking = 0
        self.opened: set[Connection] = set()
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_open)
        # It answers, but Slurm does not answer it, while another slurmrestd has no such trouble.
        self.ailing = False
        # Whether it lives is being asked.
        self.suspected = False
        # When somebody next looks whether it has said anything.
        self.watch: asyncio.TimerHandle | None = None

    def reuse(self) -> Connection | None:
        """Return a kept connection that is as good as new, or None; those that are not are closed."""
        while self._idle:
            connection = self._idle.pop()  # the most recently used, so that the others come to their end
            if connection.reusable and connection.is_quiet():
                return connection
            self.discard(connection)
        return None

    async def open(self) -> Connection:
        """Return a new connection; raise UpstreamUnreachable. It ends with ``put_back`` or ``discard``."""
        self._make_room()
        loop, url = self._loop, self._url
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                if url.path is not None:
                    _, connection = await loop.create_unix_connection(lambda: Connection(loop, self), url.path)
                else:
                    _, connection = await loop.create_connection(lambda: Connection(loop, self), url.host, url.port)
        except TimeoutError:
            raise UpstreamUnreachable("connect timed out") from None
        except OSError as error:
            raise UpstreamUnreachable(f"connect failed: {error.strerror or type(error).__name__}") from error
        self.opened.add(connection)
        return connection

    def put_back(self, connection: Connection) -> None:
        """Take a connection back: kept when it is reusable, closed when not."""
        if self._closed or not connection.reusable:
            self.discard(connection)
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._settings.pool_idle, self._sweep)

    def discard(self, connection: Connection) -> None:
        """Close a connection for good."""
        self.opened.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close what idles; what is under way closes when it is put back."""
        self._closed = True
        self._close_idle()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _close_idle(self) -> None:
        for connection in self._idle:
            self.discard(connection)
        self._idle.clear()

    def _make_room(self) -> None:
        """Close the longest idle ones, for a new one must not be one too many."""
        while self._idle and self.taken + self.asking + len(self._idle) > self.places:
            self.discard(self._idle.pop(0))

    def _sweep(self) -> None:
        """Close what has idled for too long, and come again while something idles."""
        self._sweeper = None
        horizon = self._loop.time() - self._settings.pool_idle
        for connection in self._idle:
            if connection.idle_since <= horizon or not connection.reusable:
                self.discard(connection)
        self._idle = [connection for connection in self._idle if connection in self.opened]
        if self._idle:
            self._sweeper = self._loop.call_at(self._idle[0].idle_since + self._settings.pool_idle, self._sweep)


def places_of(settings: Cluster, workers: int) -> int:
    """Return how many connections a worker may have to one slurmrestd, so that all together stay within ``pool_total``."""
    return max(1, min(settings.pool, settings.pool_total // workers))


def usable(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return those that calls may go to: asked as ever, and, as long as there is one like that, without a doubt about their health."""
    closed = tuple(endpoint for endpoint in endpoints if endpoint.breaker.closed)
    return tuple(endpoint for endpoint in closed if not endpoint.ailing and not endpoint.suspected) or closed


def choose(endpoints: Sequence[Endpoint], turn: int, avoid: Container[Endpoint] = ()) -> Endpoint | None:
    """Return the one with the fewest calls under way, from ``turn`` on where several have, and one to ``avoid`` only if no other has a place."""
    best: Endpoint | None = None
    second_best: Endpoint | None = None
    for step in range(len(endpoints)):
        endpoint = endpoints[(turn + step) % len(endpoints)]
        if endpoint.taken >= endpoint.places:
            continue
        if endpoint in avoid:
            second_best = second_best or endpoint
        elif best is None or endpoint.taken < best.taken:
            best = endpoint
    return best or second_best
