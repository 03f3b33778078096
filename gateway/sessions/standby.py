"""A copy of the sessions that were used lately, for the time when the store does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.sessions import SessionRow

logger = structlog.get_logger()

EVERY = 2.0
USED_WITHIN = 300.0
MOST = 2000


class Rows(Protocol):
    """Where sessions are kept."""

    async def lately_used(self, since: float, most: int) -> tuple[SessionRow, ...]:
        """Return up to ``most`` sessions used since then; raise StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Spare:
    """A session as it was in the store at ``read_at``."""

    row: SessionRow
    read_at: float


class Standby:
    """Reads the sessions used within the last 300 s every 2 s, 2000 at most; what it has is asked for only when the store is out."""

    def __init__(self, rows: Rows, *, clock: Callable[[], float] = time.time, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._rows = rows
        self._clock = clock
        self._pause = pause
        self._spares: dict[bytes, Spare] = {}
        # When it was last read, if that showed every session that had been used within the time.
        self._whole_at: float | None = None
        self._gone: list[Callable[[SessionRow], bool]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read in the background from now on."""
        self._task = self._task or asyncio.create_task(self._run())

    async def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(self, token_sha256: bytes) -> Spare | None:
        """Return the session whose token has this digest, as it was read last."""
        return self._spares.get(token_sha256)

    def shows_the_end_of(self, row: SessionRow, read_at: float) -> bool:
        """Tell whether ``row``, read from the store at ``read_at``, would have been seen since then if it had not ended."""
        if self._whole_at is None or read_at > self._whole_at or row.token_sha256 in self._spares:
            return False
        return row.last_used_at >= self._whole_at - USED_WITHIN

    def forget(self, gone: Callable[[SessionRow], bool]) -> None:
        """Forget the sessions for which ``gone`` is true, those too that are being read at this moment."""
        self._gone.append(gone)
        self._spares = {digest: spare for digest, spare in self._spares.items() if not gone(spare.row)}

    async def load(self) -> None:
        """Read once; a store that does not answer leaves what was read before."""
        now = self._clock()
        self._gone.clear()
        try:
            rows = await self._rows.lately_used(now - USED_WITHIN, MOST)
        except StoreUnavailable as error:
            logger.debug("standby_not_read", cause=error.cause)
            return
        self._spares = {row.token_sha256: Spare(row, now) for row in rows if not any(gone(row) for gone in self._gone)}
        self._gone.clear()
        self._whole_at = now if len(rows) < MOST else None

    async def _run(self) -> None:
        while True:
            await self.load()
            await self._pause(EVERY)
