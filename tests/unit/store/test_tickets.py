from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.store.engine import Database
from gateway.store.tickets import TicketRow, TicketStore

NOW = 1_700_000_000.0
TICKET = TicketRow(id="t", ticket_sha256=b"t" * 32, username="alice", created_at=NOW, expires_at=NOW + 86400)


@pytest.fixture
async def store(database: Database) -> TicketStore:
    store = TicketStore(database)
    await store.add(TICKET)
    return store


async def test_a_ticket_is_good_once(store: TicketStore) -> None:
    assert [await store.redeem("alice", TICKET.ticket_sha256, NOW + 1) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("username", "digest", "at"),
    [("bob", b"t" * 32, 1.0), ("ALICE", b"t" * 32, 1.0), ("alice", b"t" * 31, 1.0), ("alice", b"", 1.0), ("alice", b"t" * 32, 86400.0)],
)
async def test_it_is_its_owners_alone_and_for_its_time(store: TicketStore, username: str, digest: bytes, at: float) -> None:
    assert not await store.redeem(username, digest, NOW + at)
    assert await store.redeem("alice", TICKET.ticket_sha256, NOW + 2)


async def test_of_two_hundred_who_redeem_it_at_once_one_is_let_in(store: TicketStore) -> None:
    assert sum(await asyncio.gather(*(store.redeem("alice", TICKET.ticket_sha256, NOW) for _ in range(200)))) == 1


async def test_a_new_ticket_replaces_the_old_one(store: TicketStore) -> None:
    await store.add(replace(TICKET, id="u", ticket_sha256=b"u" * 32))
    assert [await store.redeem("alice", digest * 32, NOW) for digest in (b"t", b"u")] == [False, True]


async def test_of_many_made_at_once_one_is_good(store: TicketStore) -> None:
    await asyncio.gather(*(store.add(replace(TICKET, id=str(number), ticket_sha256=bytes([number]) * 32)) for number in range(20)))
    assert sum([await store.redeem("alice", bytes([number]) * 32, NOW) for number in range(20)]) == 1


async def test_a_ticket_of_somebody_elses_stays(store: TicketStore) -> None:
    await store.add(replace(TICKET, id="u", ticket_sha256=b"u" * 32, username="bob"))
    assert [await store.remove_all_of("bob"), await store.remove_all_of("bob")] == [1, 0]
    assert await store.redeem("alice", TICKET.ticket_sha256, NOW)


def test_a_ticket_does_not_show_its_digest() -> None:
    assert "ttt" not in repr(TICKET)
