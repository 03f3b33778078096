"""From time to time the head of the chain is signed, and goes to the store: what is kept in two places is not replaced by older copies unseen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.errors import Refusal
from gateway.observe.audit.trail import AuditTrail

logger = structlog.get_logger()


class Heads(Protocol):
    """Where heads are kept."""

    async def put(self, *, trail: str, seq: int, line_sha256: bytes, at: float) -> None:
        """Keep how far a chain has come; never go back. Raises Refusal."""


class HeadKeeping:
    """Signs the head of ``trail`` every ``interval`` seconds and puts it into ``heads``, until it is stopped."""

    def __init__(self, trail: AuditTrail, heads: Heads, interval: float, clock: Callable[[], float] = time.time) -> None:
        self._trail = trail
        self._heads = heads
        self._interval = interval
        self._clock = clock
        self._kept: tuple[str, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End, with the head as it is now; whatever fails is logged."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.keep()

    async def keep(self) -> None:
        """Sign the head and keep it, if there is something new; whatever fails is logged, and tried again the next time."""
        async with self._turn:
            try:
                await self._keep_once()
            except Refusal as refusal:
                logger.warning("audit_head_not_kept", cause=refusal.cause)

    async def _keep_once(self) -> None:
        head = await self._trail.sign()
        if head is None or (head.trail, head.seq) == self._kept:
            return
        await self._heads.put(trail=head.trail, seq=head.seq, line_sha256=bytes.fromhex(head.line), at=self._clock())
        self._kept = (head.trail, head.seq)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await asyncio.shield(self.keep())
