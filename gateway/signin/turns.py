"""Turns: so many at once, the rest wait, and those who have waited too long are told so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import Refusal


class Turns:
    """``async with turns:`` waits for one of ``count`` places; after ``patience`` seconds it raises what ``refusal`` makes."""

    def __init__(self, count: int, patience: float, refusal: Callable[[], Refusal]) -> None:
        self._places = asyncio.Semaphore(count)
        self._patience = patience
        self._refusal = refusal

    async def __aenter__(self) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once: there is room
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise self._refusal() from None

    async def __aexit__(self, *_: object) -> None:
        self._places.release()
