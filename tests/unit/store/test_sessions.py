from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.sessions import SessionRow, SessionStore

NOW = 1_700_000_000.0
ROW = SessionRow(
    id="s1",
    token_sha256=b"\x00\xff" * 16,
    kind="session",
    username="alice",
    uid=4_000_000_000,
    created_at=NOW,
    expires_at=NOW + 43200.5,
    last_used_at=NOW,
    second_factor_at=NOW - 0.25,
    address="2001:db8::7",
    client="curl/8.0",
)
OTHER = replace(ROW, id="s2", token_sha256=b"o" * 32)
BOBS = replace(ROW, id="s3", token_sha256=b"b" * 32, username="bob")


@pytest.fixture
async def store(database: Database) -> SessionStore:
    store = SessionStore(database)
    for row in (ROW, OTHER, BOBS):
        await store.add(row)
    return store


async def test_a_session_is_found_by_its_digest_as_it_was_kept(store: SessionStore) -> None:
    assert await store.find(ROW.token_sha256) == ROW


@pytest.mark.parametrize("digest", [b"", b"\x00", ROW.token_sha256[:31], ROW.token_sha256 + b"\x00", b"x" * 32])
async def test_no_session_is_found_by_another_digest(store: SessionStore, digest: bytes) -> None:
    assert await store.find(digest) is None


@pytest.mark.parametrize("twin", [replace(ROW, id="s9"), replace(ROW, token_sha256=b"9" * 32)])
async def test_no_two_sessions_share_an_id_or_a_token(store: SessionStore, twin: SessionRow) -> None:
    with pytest.raises(StoreUnavailable):
        await store.add(twin)


async def test_a_use_is_noted(store: SessionStore) -> None:
    await store.touch("s1", NOW + 60)
    assert await store.find(ROW.token_sha256) == replace(ROW, last_used_at=NOW + 60)


async def test_an_earlier_use_does_not_take_a_later_one_back(store: SessionStore) -> None:
    await store.touch("s1", NOW + 60)
    await store.touch("s1", NOW + 30)
    assert await store.find(ROW.token_sha256) == replace(ROW, last_used_at=NOW + 60)


async def test_an_ended_session_is_not_found(store: SessionStore) -> None:
    assert await store.end("s1")
    assert await store.find(ROW.token_sha256) is None


async def test_a_use_does_not_bring_an_ended_session_back(store: SessionStore) -> None:
    await store.end("s1")
    await store.touch("s1", NOW + 60)
    assert await store.find(ROW.token_sha256) is None


async def test_ending_one_session_leaves_the_others(store: SessionStore) -> None:
    await store.end("s1")
    assert await store.find(OTHER.token_sha256) == OTHER


async def test_a_session_that_is_not_there_is_not_ended(store: SessionStore) -> None:
    assert not await store.end("s9")


async def test_all_of_somebodys_sessions_end_and_nobody_elses(store: SessionStore) -> None:
    assert await store.end_all_of("alice") == 2
    assert [await store.find(row.token_sha256) for row in (ROW, OTHER, BOBS)] == [None, None, BOBS]


@pytest.mark.parametrize("username", ["ALICE", "alic", "%", "carol"])
async def test_the_sessions_of_another_name_are_not_ended(store: SessionStore, username: str) -> None:
    assert await store.end_all_of(username) == 0


async def test_a_new_session_sweeps_those_that_have_expired(store: SessionStore) -> None:
    later = replace(BOBS, id="s4", token_sha256=b"4" * 32, created_at=NOW + 43201, expires_at=NOW + 90000)
    await store.add(later)
    assert [await store.find(row.token_sha256) for row in (ROW, OTHER, BOBS, later)] == [None, None, None, later]


def test_a_session_does_not_show_its_digest() -> None:
    assert "xff" not in repr(ROW)
