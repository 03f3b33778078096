from __future__ import annotations

import asyncio
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
    factor="totp",
)
TOKEN = replace(
    ROW, id="t1", token_sha256=b"t" * 32, kind="token", name="nightly", scopes=("read", "GET /slurm/*/jobs"), networks=("192.0.2.0/24",), made_in="s1"
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
    assert await store.end("s9") is None


async def test_what_was_ended_is_told(store: SessionStore) -> None:
    assert await store.end("s1") == ROW


@pytest.mark.parametrize(("kind", "username"), [("token", None), ("session", "bob"), ("token", "alice")])
async def test_what_is_of_another_kind_or_somebody_elses_is_not_ended(store: SessionStore, kind: str, username: str | None) -> None:
    assert await store.end("s1", kind=kind, username=username) is None
    assert await store.end("s1", kind="session", username="alice") == ROW


async def test_a_token_is_found_as_it_was_kept(store: SessionStore) -> None:
    await store.add(TOKEN)
    assert await store.find(TOKEN.token_sha256) == TOKEN


async def test_sessions_are_listed_by_kind_and_person_newest_first(store: SessionStore) -> None:
    newer = replace(ROW, id="s0", token_sha256=b"0" * 32, created_at=NOW + 5)
    await store.add(newer)
    await store.add(TOKEN)
    assert (await store.of("session", "alice"), await store.of("token")) == ((newer, ROW, OTHER), (TOKEN,))
    assert [row.id for row in await store.of("session")] == ["s0", "s1", "s2", "s3"]


async def test_those_that_were_used_lately_are_listed_the_latest_first(store: SessionStore) -> None:
    await store.touch("s2", NOW + 20)
    await store.touch("s3", NOW + 10)
    assert [row.id for row in await store.lately_used(NOW + 10, 9)] == ["s2", "s3"]
    assert [row.id for row in await store.lately_used(NOW, 1)] == ["s2"]


async def test_nobody_has_more_of_a_kind_than_are_allowed(store: SessionStore) -> None:
    made = [await store.add(replace(TOKEN, id=f"t{number}", token_sha256=bytes([number]) * 32), most=2) for number in range(3)]
    assert (made, len(await store.of("token")), await store.add(replace(TOKEN, id="b1", username="bob"), most=2)) == ([True, True, False], 2, True)


async def test_of_many_made_at_once_no_more_than_are_allowed_are_kept(store: SessionStore) -> None:
    rows = [replace(TOKEN, id=f"t{number}", token_sha256=bytes([number]) * 32) for number in range(20)]
    assert sum(await asyncio.gather(*(store.add(row, most=5) for row in rows))) == 5


async def test_a_second_factor_that_was_proved_again_is_noted(store: SessionStore) -> None:
    assert [await store.prove_again("s1", "recovery_code", NOW + 9), await store.prove_again("s9", "totp", NOW)] == [True, False]
    assert await store.find(ROW.token_sha256) == replace(ROW, second_factor_at=NOW + 9, factor="recovery_code")


async def test_all_of_one_kind_end_and_the_others_stay(store: SessionStore) -> None:
    await store.add(TOKEN)
    assert [await store.end_all_of("alice", kind="token"), len(await store.of("session", "alice"))] == [1, 2]


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
