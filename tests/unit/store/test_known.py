from __future__ import annotations

import asyncio

import pytest

from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore

NOW = 1_700_000_000.0
DAY = 86400.0


@pytest.fixture
async def store(database: Database) -> KnownAddressStore:
    store = KnownAddressStore(database)
    await store.note("alice", "192.0.2.7", NOW, 30 * DAY)
    return store


async def test_an_address_that_was_noted_is_known(store: KnownAddressStore) -> None:
    assert await store.is_known("alice", "192.0.2.7", NOW - DAY)


@pytest.mark.parametrize(("username", "address"), [("bob", "192.0.2.7"), ("alice", "192.0.2.8"), ("ALICE", "192.0.2.7"), ("alice", "")])
async def test_it_is_known_for_one_person_and_one_address(store: KnownAddressStore, username: str, address: str) -> None:
    assert not await store.is_known(username, address, NOW - DAY)


@pytest.mark.parametrize(("since", "known"), [(NOW - 1, True), (NOW, True), (NOW + 1, False)])
async def test_it_is_known_since_then_or_not(store: KnownAddressStore, since: float, known: bool) -> None:
    assert await store.is_known("alice", "192.0.2.7", since) is known


async def test_a_later_note_counts(store: KnownAddressStore) -> None:
    await asyncio.gather(*(store.note("alice", "192.0.2.7", NOW + DAY, 30 * DAY) for _ in range(10)))
    assert await store.is_known("alice", "192.0.2.7", NOW + DAY)


async def test_what_is_older_than_it_is_kept_for_is_swept(store: KnownAddressStore) -> None:
    await store.note("bob", "192.0.2.8", NOW + 31 * DAY, 30 * DAY)
    assert not await store.is_known("alice", "192.0.2.7", 0.0)
