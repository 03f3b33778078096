from __future__ import annotations

import asyncio

import pytest

from gateway.errors import SignInBusy
from gateway.signin.turns import Turns


def turns(count: int, patience: float = 5.0) -> Turns:
    return Turns(count, patience, lambda: SignInBusy("too many at once"))


async def test_no_more_than_so_many_go_on_at_once() -> None:
    lane, within, most = turns(3), 0, 0

    async def one() -> None:
        nonlocal within, most
        async with lane:
            within += 1
            most = max(most, within)
            await asyncio.sleep(0)
            within -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert (most, within) == (3, 0)


async def test_whoever_has_waited_too_long_is_told_so() -> None:
    lane = turns(1, 0.01)
    async with lane:
        with pytest.raises(SignInBusy):
            async with lane:
                pass


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_turn_that_fails_is_over(error: type[BaseException]) -> None:
    lane = turns(1, 0.01)
    with pytest.raises(error):
        async with lane:
            raise error
    async with lane:
        pass


async def test_whoever_goes_away_while_waiting_takes_no_place_along() -> None:
    lane = turns(1)

    async def one() -> None:
        async with lane:
            pass

    async with lane:
        waiting = asyncio.create_task(one())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await one()
