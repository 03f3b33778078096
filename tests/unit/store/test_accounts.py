from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.store.accounts import AccountRow, AccountStore
from gateway.store.engine import Database

NOW = 1_700_000_000.0
ALICE = AccountRow(username="alice", uid=4_000_000_000, groups=frozenset({"required", "hpc-admins"}), checked_at=NOW)


@pytest.fixture
async def store(database: Database) -> AccountStore:
    store = AccountStore(database)
    await store.keep(ALICE)
    return store


async def test_what_was_heard_is_found_as_it_was_kept(store: AccountStore) -> None:
    assert await store.find("alice") == ALICE


@pytest.mark.parametrize("username", ["ALICE", "alic", "", "%"])
async def test_nothing_is_found_of_another_name(store: AccountStore, username: str) -> None:
    assert await store.find(username) is None


@pytest.mark.parametrize(("later", "kept"), [(1.0, True), (0.0, False), (-1.0, False)])
async def test_only_what_was_heard_later_replaces_it(store: AccountStore, later: float, kept: bool) -> None:
    heard = replace(ALICE, groups=frozenset(), checked_at=NOW + later)
    await store.keep(heard)
    assert await store.find("alice") == (heard if kept else ALICE)


async def test_of_many_at_once_the_last_heard_is_kept(store: AccountStore) -> None:
    await asyncio.gather(*(store.keep(replace(ALICE, uid=number, checked_at=NOW + number)) for number in (3, 9, 1, 7, 5)))
    assert await store.find("alice") == replace(ALICE, uid=9, checked_at=NOW + 9)


async def test_whom_the_directory_refused_is_forgotten(store: AccountStore) -> None:
    await store.keep(replace(ALICE, username="bob"))
    await store.forget("alice")
    assert (await store.find("alice"), (await store.find("bob")) is not None) == (None, True)
