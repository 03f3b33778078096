"""Is it ready? Each thing that the gateway needs is asked by name, at most once in a while, however often somebody wants to know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.errors import Refusal

Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What each probe found: ``ok``, or why not."""

    checks: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether everything is there."""
        return all(result == "ok" for result in self.checks.values())


class Health:
    """Runs the probes together, each within ``timeout`` seconds, and keeps what they found for ``keep`` seconds."""

    def __init__(self, probes: Mapping[str, Probe], *, timeout: float = 6.0, keep: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = probes
        self._timeout = timeout
        self._keep = keep
        self._clock = clock
        self._asked: tuple[float, asyncio.Task[Readiness]] | None = None

    async def readiness(self) -> Readiness:
        """Return what the probes find; those who ask at once share one round."""
        now = self._clock()
        if self._asked is None or (self._asked[1].done() and now - self._asked[0] >= self._keep):
            self._asked = (now, asyncio.create_task(self._ask()))
        return await asyncio.shield(self._asked[1])

    async def _ask(self) -> Readiness:
        results = await asyncio.gather(*(self._one(probe) for probe in self._probes.values()))
        return Readiness(checks=dict(zip(self._probes, results, strict=True)))

    async def _one(self, probe: Probe) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                await probe()
        except TimeoutError:
            return "does not answer"
        except Refusal as refusal:
            return refusal.cause
        return "ok"
