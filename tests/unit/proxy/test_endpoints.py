"""Which slurmrestd the next call goes to. What one does with its connections is seen through the pool, in test_pool.py."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.config import Cluster
from gateway.errors import UpstreamUnreachable
from gateway.proxy.endpoints import Endpoint, choose, places_of, usable
from tests.web import fakes


def some(*taken: int, places: int = 2) -> list[Endpoint]:
    settings = Cluster.model_validate({"urls": [f"unix:/nowhere/{number}" for number in range(len(taken))], "jwt_key_file": "/nowhere"})
    endpoints = [Endpoint(number, settings, places, cast("asyncio.AbstractEventLoop", None)) for number in range(len(taken))]
    for endpoint, count in zip(endpoints, taken, strict=True):
        endpoint.taken = count
    return endpoints


@pytest.mark.parametrize(
    ("taken", "turn", "avoid", "number"),
    [
        ([0, 0, 0], 0, [], 0),
        ([0, 0, 0], 1, [], 1),
        ([0, 0, 0], 5, [], 2),
        ([1, 0, 1], 0, [], 1),
        ([1, 0, 0], 2, [], 2),
        ([1, 0, 0], 0, [1], 2),
        ([1, 2, 2], 0, [], 0),
        ([1, 2, 2], 0, [0], 0),
        ([2, 2, 2], 0, [], None),
        ([2, 2, 2], 0, [0], None),
    ],
)
def test_the_one_with_the_fewest_calls_is_chosen_in_turn_and_not_the_avoided_one(
    taken: list[int], turn: int, avoid: list[int], number: int | None
) -> None:
    endpoints = some(*taken)
    chosen = choose(endpoints, turn, [endpoints[index] for index in avoid])
    assert (None if chosen is None else chosen.number) == number


def test_with_none_to_choose_from_none_is_chosen() -> None:
    assert choose([], 7) is None


@pytest.mark.parametrize(
    ("open_ones", "ailing", "suspected", "numbers"),
    [
        ([], [], [], [0, 1, 2]),
        ([1], [], [], [0, 2]),
        ([], [0], [2], [1]),
        ([1], [0, 2], [], [0, 2]),
        ([], [0, 1, 2], [], [0, 1, 2]),
        ([0, 1, 2], [], [], []),
        ([0, 1], [], [2], [2]),
    ],
)
def test_a_doubtful_one_is_used_only_where_there_is_no_better_one(
    open_ones: list[int], ailing: list[int], suspected: list[int], numbers: list[int]
) -> None:
    endpoints = some(0, 0, 0)
    for endpoint in endpoints:
        endpoint.ailing, endpoint.suspected = endpoint.number in ailing, endpoint.number in suspected
        if endpoint.number in open_ones:
            endpoint.breaker.trip(0.0)
    assert [endpoint.number for endpoint in usable(endpoints)] == numbers


@pytest.mark.parametrize(
    ("pool", "pool_total", "workers", "places"),
    [(16, 100, 1, 16), (16, 100, 6, 16), (16, 100, 8, 12), (16, 100, 64, 1), (16, 10, 64, 1), (4, 100, 8, 4)],
)
def test_all_workers_together_stay_within_the_total(pool: int, pool_total: int, workers: int, places: int) -> None:
    settings = Cluster.model_validate({"url": "unix:/nowhere", "jwt_key_file": "/nowhere", "pool": pool, "pool_total": pool_total})
    assert places_of(settings, workers) == places


@pytest.mark.parametrize(("url", "host"), [("unix:/nowhere", "localhost"), ("http://slurm.example.org:6820", "slurm.example.org:6820")])
async def test_it_is_called_by_its_address_but_over_a_unix_socket(url: str, host: str) -> None:
    settings = Cluster.model_validate({"url": url, "jwt_key_file": "/nowhere"})
    assert Endpoint(0, settings, 1, asyncio.get_running_loop()).host == host


async def test_a_question_that_comes_beside_the_calls_makes_room_for_itself(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    endpoint = Endpoint(0, cluster, 1, asyncio.get_running_loop())
    kept = await endpoint.open()
    endpoint.put_back(kept)
    endpoint.asking = 1
    asking = await endpoint.open()
    await fakes.until(lambda: (slurm.connections, slurm.open) == (2, 1))
    assert endpoint.opened == {asking}
    endpoint.discard(asking)
    endpoint.close()


async def test_what_cannot_be_opened_is_not_counted_as_open(cluster: Cluster, slurm: fakes.FakeSlurmrestd) -> None:
    await slurm.stop()
    endpoint = Endpoint(0, cluster, 1, asyncio.get_running_loop())
    with pytest.raises(UpstreamUnreachable):
        await endpoint.open()
    assert endpoint.opened == set()
