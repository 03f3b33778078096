from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.store.engine import Database
from gateway.store.submissions import Full, SubmissionRow, SubmissionStore

NOW = 1_700_000_000.0
DAY = 86400.0
ROW = SubmissionRow(
    username="alice",
    cluster="demo",
    key_sha256=b"\x00\xff" * 16,
    attempt="first",
    request_sha256=b"r" * 32,
    mark="idempotency:0123456789abcdef0123",
    created_at=NOW,
    held_until=NOW + 20,
)
SETTLED = replace(ROW, status=200, content_type="application/json", answer=b'{"job_id": 7}\x00\xff', job_id=2**33)


@pytest.fixture
def store(database: Database) -> SubmissionStore:
    return SubmissionStore(database)


async def claim(store: SubmissionStore, row: SubmissionRow, *, now: float = NOW, most: int = 100) -> SubmissionRow | Full:
    return await store.claim(row, forget_before=now - DAY, most=most)


async def test_a_key_is_claimed_once_and_the_second_gets_the_first_ones_row(store: SubmissionStore) -> None:
    assert await claim(store, ROW) == ROW
    assert await claim(store, replace(ROW, attempt="second", created_at=NOW + 1)) == ROW


async def test_of_fifty_who_claim_it_at_once_all_get_the_same_row(store: SubmissionStore) -> None:
    rows = [replace(ROW, attempt=f"{number}") for number in range(50)]
    claimed = await asyncio.gather(*(claim(store, row) for row in rows))
    assert len({row.attempt for row in claimed if isinstance(row, SubmissionRow)}) == 1


@pytest.mark.parametrize("other", [{"username": "bob"}, {"cluster": "other"}, {"key_sha256": b"k" * 32}], ids=str)
async def test_another_persons_another_clusters_and_another_key_are_strangers(store: SubmissionStore, other: dict[str, str]) -> None:
    await claim(store, ROW)
    stranger = replace(ROW, attempt="second", **other)  # type: ignore[arg-type]
    assert await claim(store, stranger) == stranger


async def test_an_answer_is_given_again_as_it_was(store: SubmissionStore) -> None:
    await claim(store, ROW)
    assert await store.settle(SETTLED)
    assert await claim(store, replace(ROW, attempt="second")) == SETTLED


async def test_an_answer_is_kept_once_and_only_of_the_sending_that_the_key_has(store: SubmissionStore) -> None:
    await claim(store, ROW)
    assert [await store.settle(replace(SETTLED, attempt="other")), await store.settle(SETTLED), await store.settle(SETTLED)] == [False, True, False]


async def test_a_row_is_taken_by_one_alone_when_nobody_holds_it_any_more(store: SubmissionStore) -> None:
    await claim(store, ROW)
    assert not await store.take(ROW, now=NOW + 19, until=NOW + 39)
    assert sorted(await asyncio.gather(*(store.take(ROW, now=NOW + 21, until=NOW + 41) for _ in range(20)))) == [False] * 19 + [True]


async def test_a_row_that_is_released_can_be_taken_at_once(store: SubmissionStore) -> None:
    await claim(store, ROW)
    await store.release(ROW)
    assert await store.take(ROW, now=NOW, until=NOW + 20)


async def test_a_row_that_is_held_for_longer_cannot_be_taken(store: SubmissionStore) -> None:
    others = [replace(ROW, key_sha256=bytes([number]) * 32) for number in range(3)]
    for row in others:
        await claim(store, row)
    await store.hold(others[:2], NOW + 100)
    assert [await store.take(row, now=NOW + 50, until=NOW + 70) for row in others] == [False, False, True]


async def test_a_row_that_has_its_end_cannot_be_taken_forgotten_or_replaced(store: SubmissionStore) -> None:
    await claim(store, ROW)
    await store.settle(SETTLED)
    await store.forget(ROW)
    assert not await store.take(ROW, now=NOW + 100, until=NOW + 120)
    assert not await store.replace(ROW, replace(ROW, attempt="second"))
    assert await claim(store, ROW) == SETTLED


async def test_of_those_who_would_send_it_anew_one_does(store: SubmissionStore) -> None:
    await claim(store, ROW)
    again = [replace(ROW, attempt=f"again-{number}", created_at=NOW + 100, mark="new") for number in range(20)]
    won = await asyncio.gather(*(store.replace(ROW, row) for row in again))
    assert sum(won) == 1
    assert await claim(store, ROW) == again[won.index(True)]


async def test_a_key_that_was_given_back_can_be_claimed_anew_and_its_old_sending_is_over(store: SubmissionStore) -> None:
    await claim(store, ROW)
    await store.forget(ROW)
    again = replace(ROW, attempt="second")
    assert await claim(store, again) == again
    await store.forget(ROW)
    assert await claim(store, ROW) == again


@pytest.mark.parametrize(("after", "there"), [(DAY, "first"), (DAY + 1, "second")])
async def test_a_key_is_remembered_for_so_long(store: SubmissionStore, after: float, there: str) -> None:
    await claim(store, ROW)
    await store.settle(SETTLED)
    found = await claim(store, replace(ROW, attempt="second", created_at=NOW + after), now=NOW + after)
    assert isinstance(found, SubmissionRow)
    assert found.attempt == there


async def test_one_whose_end_is_not_known_is_never_forgotten(store: SubmissionStore) -> None:
    await claim(store, ROW)
    assert await claim(store, replace(ROW, attempt="second"), now=NOW + 1000 * DAY) == ROW


async def test_a_person_has_so_many_keys_and_no_more(store: SubmissionStore) -> None:
    for number in range(3):
        await claim(store, replace(ROW, key_sha256=bytes([number]) * 32, created_at=NOW + number), most=3)
    assert await claim(store, ROW, most=3) == Full(oldest=NOW)
    assert isinstance(await claim(store, replace(ROW, key_sha256=b"\x01" * 32), most=3), SubmissionRow)
    assert isinstance(await claim(store, replace(ROW, username="bob"), most=3), SubmissionRow)


async def test_what_is_not_counted_each_time_is_counted_in_time(store: SubmissionStore) -> None:
    for number in range(130):
        await claim(store, replace(ROW, key_sha256=bytes([number]) * 32), most=130)
    assert await claim(store, ROW, most=130) == Full(oldest=NOW)


async def test_a_replay_is_given_where_there_is_no_room_for_more(store: SubmissionStore) -> None:
    await claim(store, ROW, most=1)
    await store.settle(SETTLED)
    assert await claim(store, replace(ROW, attempt="second"), most=1) == SETTLED


async def test_jobs_of_other_keys_are_told(store: SubmissionStore) -> None:
    for number, job_id in ((1, 11), (2, 12)):
        other = replace(ROW, key_sha256=bytes([number]) * 32)
        await claim(store, other)
        await store.settle(replace(other, status=200, job_id=job_id))
    await claim(store, ROW)
    await store.settle(replace(ROW, status=200, job_id=13))
    assert await store.others(ROW, {11, 13, 14}, 60.0) == (frozenset({11}), 0)
    assert await store.others(replace(ROW, username="bob"), {11}, 60.0) == (frozenset(), 0)
    assert await store.others(replace(ROW, cluster="other"), {11}, 60.0) == (frozenset(), 0)


@pytest.mark.parametrize(
    ("other", "waiting"),
    [({}, 1), ({"created_at": NOW - 60}, 1), ({"created_at": NOW + 61}, 0), ({"mark": "m"}, 0), ({"username": "bob"}, 0), ({"cluster": "other"}, 0)],
    ids=str,
)
async def test_keys_that_might_stand_for_the_same_job_are_counted(store: SubmissionStore, other: dict[str, str], waiting: int) -> None:
    row = replace(ROW, mark="")
    await claim(store, row)
    await claim(store, replace(row, key_sha256=b"k" * 32, **other))  # type: ignore[arg-type]
    assert await store.others(row, {11}, 60.0) == (frozenset(), waiting)
    assert await store.others(row, (), 60.0) == (frozenset(), 0)
