"""A small pool of connections to one slurmrestd.

slurmrestd bears 124 connections in all and never closes an idle one, so the pool is bounded, closes what idles, and gives back
nothing that failed. Which connection to use is decided here without I/O; opening is the one thing that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from gateway.config import Cluster
from gateway.errors import UpstreamBusy, UpstreamUnreachable
from gateway.proxy.connection import Connection


class Pool:
    """Connections to one cluster's slurmrestd: at most ``settings.pool`` at once, first come, first served."""

    def __init__(self, settings: Cluster, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        # Kept, for asyncio.get_running_loop() asks the kernel for the process's id each time (Python 3.11).
        self._loop = loop
        self._idle: list[Connection] = []
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def taken(self) -> int:
        """Connections that carry a request now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    async def acquire(self, *, fresh: bool) -> Connection:
        """Return a connection, a new one if ``fresh``; raise UpstreamBusy or UpstreamUnreachable, nothing having been sent."""
        await self._take_place()
        try:
            connection = None if fresh else self._reuse()
            return connection or await self._open()
        except BaseException:
            self._leave_place()
            raise

    def release(self, connection: Connection) -> None:
        """Take a connection back: kept when it is reusable, closed when not."""
        self._leave_place()
        if self._closed or not connection.reusable:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._settings.pool_idle, self._sweep)

    def close(self) -> None:
        """Close what idles; what is under way closes when it is released."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _take_place(self) -> None:
        if self._taken < self._settings.pool and not self._waiting:
            self._taken += 1
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._settings.pool_wait):
                await turn  # the place is handed over: _taken stays as it is
        except BaseException as error:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
            if turn.done() and not turn.cancelled():
                self._leave_place()
            if isinstance(error, TimeoutError):
                raise UpstreamBusy("pool_exhausted") from None
            raise

    def _leave_place(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    def _reuse(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()  # the most recently used, so that the others come to their end
            if connection.reusable and connection.is_quiet():
                return connection
            connection.close()
        return None

    async def _open(self) -> Connection:
        while self._idle and self._taken + len(self._idle) > self._settings.pool:
            self._idle.pop(0).close()
        loop, url = self._loop, self._settings.endpoints[0]
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                if url.path is not None:
                    _, connection = await loop.create_unix_connection(lambda: Connection(loop), url.path)
                else:
                    _, connection = await loop.create_connection(lambda: Connection(loop), url.host, url.port)
        except TimeoutError:
            raise UpstreamUnreachable("connect timed out") from None
        except OSError as error:
            raise UpstreamUnreachable(f"connect failed: {error.strerror or type(error).__name__}") from error
        return connection

    def _sweep(self) -> None:
        """Close what has idled for too long, and come again while something idles."""
        self._sweeper = None
        horizon = self._loop.time() - self._settings.pool_idle
        for connection in self._idle:
            if connection.idle_since <= horizon:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.reusable]
        if self._idle:
            self._sweeper = self._loop.call_at(self._idle[0].idle_since + self._settings.pool_idle, self._sweep)
