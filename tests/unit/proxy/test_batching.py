from __future__ import annotations

import asyncio

import pytest

from gateway.proxy.batching import Batcher

FOREVER, FEW = 60.0, 4


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def setting_out(batcher: Batcher, count: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(batcher.set_out()) for _ in range(count)]


def gone(requests: list[asyncio.Task[None]]) -> int:
    return sum(request.done() for request in requests)


@pytest.fixture
async def batcher() -> Batcher:
    return Batcher(asyncio.get_running_loop(), FOREVER)


async def test_a_few_requests_go_out_at_once(batcher: Batcher) -> None:
    requests = setting_out(batcher, FEW)
    await settle()
    assert gone(requests) == FEW


async def test_one_more_waits_for_an_answer_to_come(batcher: Batcher) -> None:
    requests = setting_out(batcher, FEW + 3)
    await settle()
    assert gone(requests) == FEW
    batcher.arrive()
    await settle()
    assert gone(requests) == FEW + 3


async def test_those_that_went_out_together_are_under_way(batcher: Batcher) -> None:
    setting_out(batcher, FEW + 3)
    await settle()
    batcher.arrive()
    await settle()
    (late,) = setting_out(batcher, 1)
    await settle()
    assert not late.done()
    for _ in range(3):
        batcher.arrive()
    await settle()
    assert late.done()


async def test_nobody_waits_longer_than_the_limit() -> None:
    batcher = Batcher(asyncio.get_running_loop(), 0.01)
    async with asyncio.timeout(5):
        await asyncio.gather(*setting_out(batcher, FEW + 3))


async def test_who_goes_away_while_waiting_is_not_under_way(batcher: Batcher) -> None:
    requests = setting_out(batcher, FEW + 2)
    await settle()
    requests[-1].cancel()
    await settle()
    for _ in range(FEW):
        batcher.arrive()
    await settle()
    assert batcher._under_way == 1


async def test_who_goes_away_just_as_it_sets_out_is_not_under_way(batcher: Batcher) -> None:
    requests = setting_out(batcher, FEW + 1)
    await settle()
    batcher.arrive()
    requests[-1].cancel()
    await settle()
    assert requests[-1].cancelled()
    assert batcher._under_way == FEW - 1


async def test_when_all_have_arrived_the_next_goes_out_at_once(batcher: Batcher) -> None:
    setting_out(batcher, FEW + 3)
    await settle()
    for _ in range(FEW + 3):
        batcher.arrive()
        await settle()
    (fresh,) = setting_out(batcher, 1)
    await settle()
    assert fresh.done()
