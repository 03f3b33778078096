"""Authenticators that wait for their first code, those that are removed, and what is remembered as used up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.spent import SpentStore

NOW = 1_700_000_000.0
ONE = AuthenticatorRow(
    id="a", username="alice", name="telephone", sealed_secret=b"sealed", last_step=0, created_at=NOW, confirmed_at=None, origin="munge"
)
TWO = replace(ONE, id="b", name="tablet")
CODES = tuple(bytes([number]) * 32 for number in range(10))
MORE = tuple(bytes([number]) * 32 for number in range(10, 20))


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    store = AuthenticatorStore(database)
    for row in (ONE, TWO):
        assert await store.add(row, most=5) is None
    return store


async def test_a_first_one_is_confirmed_while_no_other_is(store: AuthenticatorStore) -> None:
    assert [await store.confirm("a", 7, CODES, NOW, first=True), await store.confirm("b", 7, MORE, NOW, first=True)] == [True, False]
    assert await store.claim_recovery_code("alice", CODES[0], NOW)


async def test_one_that_need_not_be_the_first_is_confirmed_after_another(store: AuthenticatorStore) -> None:
    assert [await store.confirm("a", 7, CODES, NOW), await store.confirm("b", 7, MORE, NOW)] == [True, True]
    assert not await store.claim_recovery_code("alice", CODES[0], NOW)


async def test_of_two_first_ones_at_once_one_is_confirmed(store: AuthenticatorStore) -> None:
    made = await asyncio.gather(store.confirm("a", 7, CODES, NOW, first=True), store.confirm("b", 7, MORE, NOW, first=True))
    assert sorted(made) == [False, True]


async def test_what_is_not_there_is_not_confirmed(store: AuthenticatorStore) -> None:
    assert not await store.confirm("c", 7, CODES, NOW)


async def test_one_of_several_is_removed_and_the_last_is_not(store: AuthenticatorStore) -> None:
    await store.confirm("a", 7, CODES, NOW)
    await store.confirm("b", 7, MORE, NOW)
    assert [await store.remove_one_of_several("alice", name) for name in ("a", "b", "a")] == [None, "last", "unknown"]
    assert await store.recovery_codes_left("alice") == 10


async def test_one_that_waits_can_always_be_removed(store: AuthenticatorStore) -> None:
    await store.confirm("a", 7, CODES, NOW)
    assert await store.remove_one_of_several("alice", "b") is None


async def test_nobody_removes_what_is_somebody_elses(store: AuthenticatorStore) -> None:
    assert await store.remove_one_of_several("bob", "a") == "unknown"


async def test_recovery_codes_go_with_the_last_one(store: AuthenticatorStore) -> None:
    await store.confirm("a", 7, CODES, NOW)
    assert await store.remove("alice", "a")
    assert await store.recovery_codes_left("alice") == 0


async def test_recovery_codes_are_replaced(store: AuthenticatorStore) -> None:
    await store.replace_recovery_codes("alice", CODES)
    await store.replace_recovery_codes("alice", MORE)
    assert [await store.claim_recovery_code("alice", codes[0], NOW) for codes in (CODES, MORE)] == [False, True]


async def test_what_was_spent_is_known_until_it_is_forgotten(database: Database) -> None:
    store = SpentStore(database)
    await store.spend("kind", b"x" * 32, now=NOW, expires_at=NOW + 60)
    looks = [("kind", b"x" * 32, NOW + 60), ("kind", b"x" * 32, NOW + 61), ("other", b"x" * 32, NOW), ("kind", b"y" * 32, NOW)]
    assert [await store.is_spent(*look) for look in looks] == [True, False, False, False]
