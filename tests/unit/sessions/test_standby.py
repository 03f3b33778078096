from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.standby import EVERY, USED_WITHIN, Spare, Standby
from gateway.store.sessions import SessionRow
from tests.unit.fakes import FakeRows

NOW = 1_700_000_000.0
ROW = SessionRow(
    id="s1",
    token_sha256=b"1" * 32,
    kind="session",
    username="alice",
    uid=2001,
    created_at=NOW,
    expires_at=NOW + 3600,
    last_used_at=NOW,
    second_factor_at=NOW,
    address="192.0.2.7",
    client="",
    factor="totp",
)
OTHER = replace(ROW, id="s2", token_sha256=b"2" * 32, username="bob")
OLD = replace(ROW, id="s3", token_sha256=b"3" * 32, last_used_at=NOW - USED_WITHIN - 1)


@pytest.fixture
async def rows() -> FakeRows:
    return FakeRows(rows={row.token_sha256: row for row in (ROW, OTHER, OLD)})


@pytest.fixture
async def standby(rows: FakeRows) -> Standby:
    standby = Standby(rows, clock=lambda: NOW)
    await standby.load()
    return standby


async def test_what_was_used_lately_is_there_with_the_time_that_it_was_read(standby: Standby) -> None:
    assert [standby.find(row.token_sha256) for row in (ROW, OTHER, OLD)] == [Spare(ROW, NOW), Spare(OTHER, NOW), None]


async def test_what_was_ended_since_is_gone_with_the_next_reading(standby: Standby, rows: FakeRows) -> None:
    await rows.end("s1")
    await standby.load()
    assert (standby.find(ROW.token_sha256), standby.find(OTHER.token_sha256)) == (None, Spare(OTHER, NOW))


async def test_a_store_that_does_not_answer_leaves_what_was_read(standby: Standby, rows: FakeRows) -> None:
    rows.failure = StoreUnavailable("store: OperationalError")
    await standby.load()
    assert standby.find(ROW.token_sha256) == Spare(ROW, NOW)


async def test_what_is_forgotten_is_gone_at_once(standby: Standby) -> None:
    standby.forget(lambda row: row.username == "alice")
    assert (standby.find(ROW.token_sha256), standby.find(OTHER.token_sha256)) == (None, Spare(OTHER, NOW))


async def test_what_is_forgotten_while_it_is_read_does_not_come_back(standby: Standby, rows: FakeRows) -> None:
    rows.gate.clear()
    loading = asyncio.create_task(standby.load())
    await asyncio.sleep(0)
    standby.forget(lambda row: row.id == "s1")
    rows.gate.set()
    await loading
    assert (standby.find(ROW.token_sha256), standby.find(OTHER.token_sha256)) == (None, Spare(OTHER, NOW))


async def test_it_reads_in_the_background_until_it_is_closed(rows: FakeRows) -> None:
    pauses: list[float] = []
    twice = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            twice.set()
        await asyncio.sleep(0)

    standby = Standby(rows, clock=lambda: NOW, pause=pause)
    standby.start()
    standby.start()
    await twice.wait()
    await standby.close()
    assert (pauses[:2], standby.find(ROW.token_sha256)) == ([EVERY, EVERY], Spare(ROW, NOW))


async def test_one_that_was_not_started_can_be_closed(rows: FakeRows) -> None:
    await Standby(rows).close()


async def test_what_was_read_before_and_is_not_seen_any_more_has_ended(standby: Standby, rows: FakeRows) -> None:
    await rows.end("s1")
    await standby.load()
    assert standby.shows_the_end_of(ROW, NOW - 1)


@pytest.mark.parametrize(
    ("row", "read_at", "why"),
    [(OTHER, NOW - 1, "it is seen"), (ROW, NOW + 1, "it was read later"), (OLD, NOW - 1, "it would not have been seen anyway")],
)
async def test_of_anything_else_no_end_is_shown(standby: Standby, rows: FakeRows, row: SessionRow, read_at: float, why: str) -> None:
    await rows.end(row.id if row is ROW else "none")
    await standby.load()
    assert not standby.shows_the_end_of(row, read_at), why


async def test_a_list_that_was_cut_short_shows_no_end(rows: FakeRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sessions.standby.MOST", 1)
    standby = Standby(rows, clock=lambda: NOW)
    await standby.load()
    assert not standby.shows_the_end_of(replace(ROW, token_sha256=b"9" * 32), NOW - 1)
