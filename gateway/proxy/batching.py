"""Sending requests to slurmrestd a few at a time when there are many.

slurmrestd up to 24.11 wakes all of its twenty threads for each request that arrives while they sleep, so that a request which comes
alone costs it two to three times the CPU of one that comes among sixteen. While some are under way already, one more therefore waits a
moment for company. Nothing waits while slurmrestd has little to do, and nothing longer than the limit.
"""

from __future__ import annotations

import asyncio

# Up to this many requests are sent as they come.
_FEW = 4


class Batcher:
    """Says when a request is to go out: at once while few are under way, else together with others, within ``wait`` seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wait: float) -> None:
        self._loop = loop
        self._wait = wait
        self._under_way = 0
        self._gathered: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def set_out(self) -> None:
        """Return when the request is to go out; ``arrive`` has to be called once it is answered, or given up."""
        if self._under_way < _FEW and not self._gathered:
            self._under_way += 1
            return
        turn = self._loop.create_future()
        self._gathered.append(turn)
        if self._timer is None:
            self._timer = self._loop.call_later(self._wait, self._send_all)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.arrive()
            raise

    def arrive(self) -> None:
        """Note that a request is answered; those that have gathered go out when few are left under way."""
        self._under_way -= 1
        if self._gathered and self._under_way < _FEW:
            self._send_all()

    def _send_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, []
        for turn in gathered:
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)
