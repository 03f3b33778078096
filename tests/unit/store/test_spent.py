from __future__ import annotations

import asyncio

import pytest

from gateway.store.engine import Database
from gateway.store.spent import SpentStore

NOW = 1_700_000_000.0
DIGEST = b"\x00\xff" * 16


@pytest.fixture
def store(database: Database) -> SpentStore:
    return SpentStore(database)


async def test_a_thing_can_be_spent_once(store: SpentStore) -> None:
    assert [await store.spend("munge", DIGEST, now=NOW, expires_at=NOW + 300) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("kind", "digest"), [("radius", DIGEST), ("munge", b"\x00" * 32), ("munge", DIGEST[:31])])
async def test_other_kinds_and_other_things_are_still_to_be_had(store: SpentStore, kind: str, digest: bytes) -> None:
    await store.spend("munge", DIGEST, now=NOW, expires_at=NOW + 300)
    assert await store.spend(kind, digest, now=NOW, expires_at=NOW + 300)


async def test_of_two_hundred_who_spend_it_at_once_one_is_granted(store: SpentStore) -> None:
    assert sum(await asyncio.gather(*(store.spend("munge", DIGEST, now=NOW, expires_at=NOW + 300) for _ in range(200)))) == 1


async def test_it_is_remembered_until_then_and_no_longer(store: SpentStore) -> None:
    await store.spend("munge", DIGEST, now=NOW, expires_at=NOW + 300)
    later = [await store.spend("munge", DIGEST, now=NOW + after, expires_at=NOW + 600) for after in (299.0, 300.0, 301.0)]
    assert later == [False, False, True]
