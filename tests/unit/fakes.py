"""What unit tests put in the place of rooms whose real thing would not be theirs to start; each fake keeps what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.config import Secret
from gateway.errors import SignInBusy, StoreUnavailable
from gateway.observe.audit import Event
from gateway.signin.account import Account, Candidate, Denied
from gateway.signin.factor import Outcome
from gateway.signin.turns import Turns
from gateway.store.accounts import AccountRow
from gateway.store.sealing import KeyRing
from gateway.store.sessions import SessionRow


@dataclass(slots=True)
class FakeDirectory:
    """A directory with one answer for everybody; an exception is raised."""

    answer: Account | Denied | Exception
    refuses: str | None = None
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    async def find(self, typed: str) -> Candidate:
        account = await self.account(typed)
        return Candidate(key=(account.username if isinstance(account, Account) else typed).casefold(), account=account, entry=typed)

    async def prove(self, candidate: Candidate, password: Secret) -> str | None:
        self.asked.append((str(candidate.entry), password.reveal()))
        await asyncio.sleep(0)
        return self.refuses

    async def account(self, username: str) -> Account | Denied:  # noqa: ARG002 - one answer for everybody
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def by_uid(self, uid: int) -> Account | Denied:
        return await self.account(str(uid))

    async def ping(self) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer


@dataclass(slots=True)
class FakeFactor:
    """A second factor with one answer for every code; an exception is raised."""

    answer: Outcome | Exception
    asked: list[tuple[str, str, float]] = field(default_factory=list)

    def could_be(self, code: str) -> bool:
        return 6 <= len(code) <= 19

    async def verify(self, username: str, code: str, address: str, now: float) -> Outcome:  # noqa: ARG002 - one answer for all
        self.asked.append((username, code, now))
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass(slots=True)
class FakeRows:
    """Sessions in memory; look-ups wait while ``gate`` is closed, and everything fails with ``failure``."""

    rows: dict[bytes, SessionRow] = field(default_factory=dict)
    looked_up: int = 0
    touched: list[tuple[str, float]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def add(self, row: SessionRow, *, most: int | None = None) -> bool:
        self._fail()
        if most is not None and len(await self.of(row.kind, row.username)) >= most:
            return False
        self.rows[row.token_sha256] = row
        return True

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        self.looked_up += 1
        row = self.rows.get(token_sha256)
        if not self.gate.is_set():
            await self.gate.wait()
        self._fail()
        return row

    async def of(self, kind: str, username: str | None = None) -> tuple[SessionRow, ...]:
        self._fail()
        return tuple(row for row in self.rows.values() if row.kind == kind and username in {None, row.username})

    async def lately_used(self, since: float, most: int) -> tuple[SessionRow, ...]:
        rows = tuple(row for row in self.rows.values() if row.last_used_at >= since)[:most]
        await self.gate.wait()
        self._fail()
        return rows

    async def touch(self, session_id: str, now: float) -> None:
        self._fail()
        self.touched.append((session_id, now))
        self._change(session_id, last_used_at=now)

    async def prove_again(self, session_id: str, factor: str, now: float) -> bool:
        self._fail()
        return self._change(session_id, second_factor_at=now, factor=factor)

    async def end(self, session_id: str, *, kind: str | None = None, username: str | None = None) -> SessionRow | None:
        self._fail()
        wanted = (session_id, kind, username)
        ended = next((row for row in self.rows.values() if wanted in {(row.id, row.kind, row.username), (row.id, None, None)}), None)
        self.rows = {digest: row for digest, row in self.rows.items() if row is not ended}
        return ended

    async def end_all_of(self, username: str) -> int:
        self._fail()
        before = len(self.rows)
        self.rows = {digest: row for digest, row in self.rows.items() if row.username != username}
        return before - len(self.rows)

    def _change(self, session_id: str, **values: Any) -> bool:
        there = any(row.id == session_id for row in self.rows.values())
        self.rows = {digest: replace(row, **values) if row.id == session_id else row for digest, row in self.rows.items()}
        return there

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass(slots=True)
class FakeAccountRows:
    """The last word on accounts in memory; everything fails while ``down``."""

    rows: dict[str, AccountRow] = field(default_factory=dict)
    down: bool = False
    looked_up: int = 0

    async def find(self, username: str) -> AccountRow | None:
        self.looked_up += 1
        self._fail()
        return self.rows.get(username)

    async def keep(self, row: AccountRow) -> None:
        self._fail()
        self.rows[row.username] = row

    async def forget(self, username: str) -> None:
        self._fail()
        self.rows.pop(username, None)

    def _fail(self) -> None:
        if self.down:
            raise StoreUnavailable("store: OperationalError")


@dataclass(slots=True)
class FakeTrail:
    """Keeps what is written."""

    events: list[Event] = field(default_factory=list)

    async def write(self, event: Event) -> None:
        self.events.append(event)


@dataclass(slots=True)
class FakeGate:
    """Counts unknown tokens; a failure is raised."""

    unknown: list[tuple[str, float]] = field(default_factory=list)
    failure: Exception | None = None

    async def unknown_token(self, address: str, now: float) -> None:
        self.unknown.append((address, now))
        if self.failure is not None:
            raise self.failure


class RingSeal:
    """The keys of one ring, until they are replaced by another; a file's own are gateway.store.sealing.KeyRingFile."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def replace_ring(self, ring: KeyRing) -> None:
        """Seal and open with ``ring`` from now on."""
        self._ring = ring

    async def seal(self, plain: bytes, row: str) -> bytes:
        """Seal under the newest key."""
        return self._ring.seal(plain, row)

    async def open(self, sealed: bytes, row: str) -> Secret:
        """Open with whichever key it was sealed under."""
        return self._ring.open(sealed, row)


def no_turns() -> Turns:
    """Turns enough for everybody."""
    return Turns(1000, 5.0, lambda: SignInBusy("too many at once"))
