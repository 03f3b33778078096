from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit import AuditTrail, Event
from gateway.observe.audit.keeping import HeadKeeping
from tests.unit.observe.audit.conftest import KEY, verified
from tests.web import fakes

LINE = Event(event="request", at=0.0)


@dataclass(slots=True)
class Kept:
    heads: list[int] = field(default_factory=list)
    down: bool = False

    async def put(self, *, trail: str, seq: int, line_sha256: bytes, at: float) -> None:
        assert (len(trail), len(line_sha256), at) == (33, 32, 5.0)
        if self.down:
            raise StoreUnavailable("down")
        self.heads.append(seq)


@pytest.fixture
async def trail(tmp_path: Path) -> AsyncIterator[AuditTrail]:
    trail = AuditTrail(tmp_path / "audit", KEY)
    yield trail
    trail.close()


async def test_each_head_is_signed_and_kept_once(trail: AuditTrail, tmp_path: Path) -> None:
    kept = Kept()
    keeping = HeadKeeping(trail, kept, 60.0, clock=lambda: 5.0)
    await keeping.keep()
    await trail.write(LINE)
    for _ in range(3):
        await keeping.keep()
    assert (kept.heads, verified(tmp_path / "audit").last_head_seq) == ([3], 3)


async def test_a_head_that_could_not_be_kept_is_kept_the_next_time(trail: AuditTrail) -> None:
    kept = Kept(down=True)
    keeping = HeadKeeping(trail, kept, 60.0, clock=lambda: 5.0)
    await trail.write(LINE)
    await keeping.keep()
    kept.down = False
    await keeping.keep()
    assert kept.heads == [3]


async def test_it_goes_on_by_itself_until_it_is_stopped(trail: AuditTrail) -> None:
    kept = Kept()
    keeping = HeadKeeping(trail, kept, 0.001, clock=lambda: 5.0)
    keeping.start()
    await trail.write(LINE)
    await fakes.until(lambda: kept.heads)
    before = len(kept.heads)
    await keeping.stop()
    assert len(kept.heads) == before


async def test_stopping_keeps_what_was_written_last(trail: AuditTrail) -> None:
    kept = Kept()
    keeping = HeadKeeping(trail, kept, 60.0, clock=lambda: 5.0)
    keeping.start()
    await asyncio.sleep(0)
    await trail.write(LINE)
    await keeping.stop()
    assert kept.heads == [3]
