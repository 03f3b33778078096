from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import DirectoryUnavailable
from gateway.observe.health import Health, Readiness


class Probe:
    """Counts how often it was asked, and fails on demand."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("checks", "ready"), [({}, True), ({"store": "ok"}, True), ({"store": "ok", "directory": "down"}, False)])
def test_it_is_ready_when_everything_is_there(checks: dict[str, str], ready: bool) -> None:
    assert Readiness(checks=checks).ready == ready


CASES: dict[str, Callable[[], Awaitable[None]]] = {
    "ok": Probe(),
    "down: the cause": Probe(DirectoryUnavailable("down: the cause")),
    "does not answer": hangs,
}


@pytest.mark.parametrize("found", CASES)
async def test_each_probe_is_told_by_its_name(found: str) -> None:
    readiness = await Health({"store": Probe(), "thing": CASES[found]}, timeout=0.01).readiness()
    assert readiness.checks == {"store": "ok", "thing": found}


async def test_who_asks_at_once_shares_a_round() -> None:
    probe = Probe()
    health = Health({"thing": probe})
    await asyncio.gather(*(health.readiness() for _ in range(10)))
    assert probe.asked == 1


@pytest.mark.parametrize(("later", "asked"), [(0.9, 1), (1.0, 2)])
async def test_what_was_found_is_kept_for_a_while(later: float, asked: int) -> None:
    probe, clock = Probe(), Clock()
    health = Health({"thing": probe}, keep=1.0, clock=clock)
    await health.readiness()
    clock.now += later
    await health.readiness()
    assert probe.asked == asked


async def test_what_comes_back_is_found_again() -> None:
    probe, clock = Probe(DirectoryUnavailable("down")), Clock()
    health = Health({"thing": probe}, clock=clock)
    assert not (await health.readiness()).ready
    probe.failure, clock.now = None, 2.0
    assert (await health.readiness()).ready


async def test_who_goes_away_does_not_end_the_round_of_the_others() -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    health = Health({"thing": waits})
    first, second = asyncio.create_task(health.readiness()), asyncio.create_task(health.readiness())
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert (await second).ready
    with pytest.raises(asyncio.CancelledError):
        await first
