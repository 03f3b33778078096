from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.config import Store
from gateway.store.attempts import AttemptStore, Exceeded, Limit
from gateway.store.engine import Database

NOW = 1_700_000_000.0
ACCOUNT = Limit(scope="account", key="alice", allowed=3, window=300)
ADDRESS = Limit(scope="address", key="192.0.2.7", allowed=5, window=300)
BOTH = (ACCOUNT, ADDRESS)


@pytest.fixture
async def attempts(database: Database) -> AttemptStore:
    return AttemptStore(database)


async def rows(database: Database) -> int:
    return int(await database.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one()))


async def filled(attempts: AttemptStore, limit: Limit = ACCOUNT, at: float = NOW) -> None:
    for number in range(limit.allowed):
        assert await attempts.reserve(f"{limit.key}{number}", (limit,), at + number) is None


async def test_attempts_are_borne_up_to_the_limit(attempts: AttemptStore) -> None:
    await filled(attempts)
    assert await attempts.reserve("one more", BOTH, NOW + 10) == Exceeded(limit=ACCOUNT, free_at=NOW + 300)


async def test_there_is_room_when_the_oldest_has_left_the_window_and_not_before(attempts: AttemptStore) -> None:
    await filled(attempts)
    assert await attempts.reserve("early", (ACCOUNT,), NOW + 299.9) is not None
    assert await attempts.reserve("in time", (ACCOUNT,), NOW + 300) is None


async def test_a_released_attempt_makes_room(attempts: AttemptStore) -> None:
    await filled(attempts)
    await attempts.release("alice1")
    assert await attempts.reserve("one more", (ACCOUNT,), NOW + 10) is None


async def test_releasing_an_attempt_that_is_not_there_does_nothing(attempts: AttemptStore, database: Database) -> None:
    await filled(attempts)
    await attempts.release("nobody's")
    assert await rows(database) == 3


async def test_an_attempt_is_counted_against_every_limit_and_released_from_all(attempts: AttemptStore, database: Database) -> None:
    await attempts.reserve("one", BOTH, NOW)
    counted = await rows(database)
    await attempts.release("one")
    assert (counted, await rows(database)) == (2, 0)


async def test_an_attempt_that_exceeds_one_limit_is_counted_against_none(attempts: AttemptStore, database: Database) -> None:
    await filled(attempts, ADDRESS)
    assert await attempts.reserve("one more", BOTH, NOW + 10) == Exceeded(limit=ADDRESS, free_at=NOW + 300)
    assert await rows(database) == 5


@pytest.mark.parametrize(
    "other", [Limit(scope="account", key="bob", allowed=1, window=300), Limit(scope="address", key="alice", allowed=1, window=300)]
)
async def test_other_keys_and_other_scopes_have_counters_of_their_own(attempts: AttemptStore, other: Limit) -> None:
    await filled(attempts)
    assert await attempts.reserve("other", (other,), NOW + 10) is None


async def test_attempts_older_than_the_window_are_swept(attempts: AttemptStore, database: Database) -> None:
    await filled(attempts)
    await attempts.reserve("later", (Limit(scope="account", key="bob", allowed=1, window=300),), NOW + 1000)
    assert await rows(database) == 1


async def test_attempts_within_a_longer_window_are_not_swept(attempts: AttemptStore, database: Database) -> None:
    await filled(attempts)
    limits = tuple(Limit(scope="account", key="bob", allowed=9, window=window) for window in (1, 3600))
    await attempts.reserve("later", limits, NOW + 1000)
    assert await rows(database) == 4


async def test_attempts_of_a_scope_that_nothing_is_asked_of_are_not_swept(attempts: AttemptStore, database: Database) -> None:
    await filled(attempts)
    await attempts.reserve("later", (ADDRESS,), NOW + 1000)
    assert await rows(database) == 4


async def test_several_windows_of_one_scope_are_counted_by_one_row(attempts: AttemptStore, database: Database) -> None:
    limits = tuple(Limit(scope="code", key="alice", allowed=allowed, window=window) for allowed, window in ((2, 300), (3, 3600)))
    outcomes = [await attempts.reserve(f"a{number}", limits, NOW + number * 400) for number in range(4)]
    assert (outcomes, await rows(database)) == ([None, None, None, Exceeded(limit=limits[1], free_at=NOW + 3600)], 3)


async def test_a_look_counts_nothing(attempts: AttemptStore, database: Database) -> None:
    assert await attempts.peek(BOTH, NOW) is None
    await filled(attempts)
    assert await attempts.peek(BOTH, NOW + 10) == Exceeded(limit=ACCOUNT, free_at=NOW + 300)
    assert await rows(database) == 3


async def test_unlocking_makes_room_for_what_is_named_alone(attempts: AttemptStore) -> None:
    await filled(attempts)
    await filled(attempts, ADDRESS)
    assert await attempts.unlock((("account", "alice"),)) == 3
    assert await attempts.peek((ACCOUNT,), NOW + 10) is None
    assert await attempts.peek((ADDRESS,), NOW + 10) is not None


@pytest.mark.parametrize(("name", "removed"), [("alice|", 2), ("alic|", 0), ("a_ice|", 0), ("%|", 0), ("alice", 0)])
async def test_a_key_that_ends_in_a_bar_stands_for_all_that_begin_so(attempts: AttemptStore, name: str, removed: int) -> None:
    for number, key in enumerate(("alice|192.0.2.7", "alice|2001:db8::/64", "alice2|192.0.2.7")):
        await attempts.reserve(str(number), (Limit(scope="account_address", key=key, allowed=9, window=300),), NOW)
    assert await attempts.unlock((("account_address", name),)) == removed


async def test_of_two_hundred_attempts_at_once_no_more_than_the_limit_are_let_through(attempts: AttemptStore) -> None:
    limits = tuple(Limit(scope="code", key="alice", allowed=allowed, window=window) for allowed, window in ((5, 300), (20, 3600), (50, 86400)))
    outcomes = await asyncio.gather(*(attempts.reserve(f"a{number}", limits, NOW) for number in range(200)))
    assert sum(outcome is None for outcome in outcomes) == 5


async def test_attempts_at_once_never_exceed_the_limit(attempts: AttemptStore) -> None:
    outcomes = await asyncio.gather(*(attempts.reserve(f"a{number}", BOTH, NOW) for number in range(100)))
    assert sum(outcome is None for outcome in outcomes) == 3


async def test_attempts_at_once_through_two_engines_never_exceed_the_limit(open_store: Callable[[Store], Database], store_settings: Store) -> None:
    workers = [AttemptStore(open_store(store_settings)) for _ in range(2)]
    outcomes = await asyncio.gather(*(workers[number % 2].reserve(f"a{number}", BOTH, NOW) for number in range(20)))
    assert sum(outcome is None for outcome in outcomes) == 3


@pytest.mark.parametrize("key", ["", "' OR 1=1 --", "é" * 64, "x" * 160])
async def test_a_key_is_a_value_and_nothing_else(attempts: AttemptStore, key: str) -> None:
    limit = Limit(scope="account", key=key, allowed=1, window=300)
    await attempts.reserve("one", (limit,), NOW)
    assert await attempts.reserve("two", (limit,), NOW) == Exceeded(limit=limit, free_at=NOW + 300)
