from __future__ import annotations

from gateway.store.audit_heads import AuditHead, AuditHeadStore
from gateway.store.engine import Database

ONE = AuditHead(trail="a.b", seq=7, line_sha256=b"\x00\xff" * 16, at=1_700_000_000.5)


async def put(store: AuditHeadStore, head: AuditHead) -> None:
    await store.put(trail=head.trail, seq=head.seq, line_sha256=head.line_sha256, at=head.at)


async def test_a_head_is_kept_as_it_was_and_goes_forwards_only(database: Database) -> None:
    store = AuditHeadStore(database)
    later = AuditHead(trail="a.b", seq=8, line_sha256=b"x" * 32, at=1.0)
    await put(store, ONE)
    assert await store.all() == (ONE,)
    for head in (later, ONE, AuditHead(trail="a.b", seq=8, line_sha256=b"y" * 32, at=2.0)):
        await put(store, head)
    assert await store.all() == (later,)


async def test_each_trail_has_its_own(database: Database) -> None:
    store = AuditHeadStore(database)
    other = AuditHead(trail="c.d", seq=1, line_sha256=b"z" * 32, at=1.0)
    await put(store, ONE)
    await put(store, other)
    assert await store.all() == (ONE, other)
