from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store import resealing
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import Database
from gateway.store.resealing import Resealed, reseal, rows_by_key
from gateway.store.sealing import KeyRing, key_of

OLD, NEW = AESGCM(b"o" * 32), AESGCM(b"n" * 32)
BEFORE, AFTER = KeyRing("k1", {"k1": OLD}), KeyRing("k2", {"k2": NEW, "k1": OLD})


def row(number: int, ring: KeyRing = BEFORE) -> AuthenticatorRow:
    key, username = f"{number:032x}", f"user{number}"
    sealed = ring.seal(f"secret {number}".encode(), seal_row(key, username))
    return AuthenticatorRow(
        id=key, username=username, name="a", sealed_secret=sealed, last_step=number, created_at=1.0, confirmed_at=1.0, origin="administrator"
    )


@pytest.fixture
async def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> AuthenticatorStore:
    """Seven authenticators, which are read three at a time."""
    monkeypatch.setattr(resealing, "_AT_ONCE", 3)
    store = AuthenticatorStore(database)
    for number in range(7):
        await store.add(row(number), most=1)
    return store


def silent(_: int) -> None:
    pass


async def test_every_secret_is_sealed_under_the_first_key_and_stays_what_it_was(store: AuthenticatorStore, database: Database) -> None:
    assert await reseal(database, AFTER, silent) == Resealed(count=7, broken=())
    for number in range(7):
        (found,) = await store.of(f"user{number}")
        assert (key_of(found.sealed_secret), AFTER.open(found.sealed_secret, found.seal_row).reveal()) == ("k2", f"secret {number}".encode())
        assert found == replace(row(number), sealed_secret=found.sealed_secret)


@pytest.mark.usefixtures("store")
async def test_what_is_sealed_under_the_first_key_is_left(database: Database) -> None:
    assert await reseal(database, BEFORE, silent) == Resealed(count=0, broken=())


@pytest.mark.usefixtures("store")
async def test_it_is_counted_how_many_each_key_seals(store: AuthenticatorStore, database: Database) -> None:
    await store.add(row(8, AFTER), most=1)
    assert await rows_by_key(database) == {"k1": 7, "k2": 1}
    await reseal(database, AFTER, silent)
    assert await rows_by_key(database) == {"k2": 8}


async def test_what_no_key_opens_is_left_and_named_and_does_not_stop_the_rest(store: AuthenticatorStore, database: Database) -> None:
    lost = replace(row(9), sealed_secret=b"1:k9:" + b"x" * 40)
    moved = replace(row(10), sealed_secret=row(11).sealed_secret)
    await store.add(lost, most=1)
    await store.add(moved, most=1)
    assert await reseal(database, AFTER, silent) == Resealed(count=7, broken=(lost.id, moved.id))
    assert [await store.of(each.username) for each in (lost, moved)] == [(lost,), (moved,)]


async def test_what_appears_meanwhile_under_the_old_key_is_sealed_too(
    store: AuthenticatorStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_: Callable[..., object] = resealing._replace
    late = BEFORE.seal(b"late", seal_row("0", "late"))

    async def meanwhile(database: Database, old: resealing.Sealed, new: bytes) -> object:
        if old.id == row(0).id:
            # Behind where the first round has come to.
            await store.add(replace(row(0), id="0", username="late", sealed_secret=late), most=1)
        return await replace_(database, old, new)  # type: ignore[misc]  # it is what it was

    monkeypatch.setattr(resealing, "_replace", meanwhile)
    await reseal(database, AFTER, silent)
    (found,) = await store.of("late")
    assert AFTER.open(found.sealed_secret, found.seal_row).reveal() == b"late"
    assert key_of(found.sealed_secret) == "k2"


async def test_a_secret_that_was_replaced_meanwhile_is_not_put_back(
    store: AuthenticatorStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_: Callable[..., object] = resealing._replace
    newer = row(3, AFTER)

    async def overtaken(database: Database, old: resealing.Sealed, new: bytes) -> object:
        if old.id == newer.id:
            await store.remove_all_of("user3")
            await store.add(newer, most=1)
        return await replace_(database, old, new)  # type: ignore[misc]  # it is what it was

    monkeypatch.setattr(resealing, "_replace", overtaken)
    assert await reseal(database, AFTER, silent) == Resealed(count=6, broken=())
    assert await store.of("user3") == (newer,)


async def test_two_who_do_it_at_once_lose_nothing(store: AuthenticatorStore, database: Database) -> None:
    done = await asyncio.gather(reseal(database, AFTER, silent), reseal(database, AFTER, silent))
    assert (sum(each.count for each in done), await rows_by_key(database)) == (7, {"k2": 7})
    (found,) = await store.of("user6")
    assert AFTER.open(found.sealed_secret, found.seal_row).reveal() == b"secret 6"


@pytest.mark.usefixtures("store")
async def test_progress_is_told(database: Database) -> None:
    told: list[int] = []
    await reseal(database, AFTER, told.append)
    assert told[:3] == [3, 6, 7]
