"""What unit tests put in the place of rooms whose real thing would not be theirs to start; each fake keeps what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from gateway.config import Secret
from gateway.signin.account import Account, Candidate, Denied
from gateway.signin.factor import Outcome
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
    """Sessions in memory; look-ups wait while ``gate`` is closed, and fail with ``failure``."""

    rows: dict[bytes, SessionRow] = field(default_factory=dict)
    looked_up: int = 0
    touched: list[tuple[str, float]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def add(self, row: SessionRow) -> bool:
        self.rows[row.token_sha256] = row
        return True

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        self.looked_up += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.rows.get(token_sha256)

    async def touch(self, session_id: str, now: float) -> None:
        self.touched.append((session_id, now))
        self.rows = {digest: replace(row, last_used_at=now) if row.id == session_id else row for digest, row in self.rows.items()}

    async def end(self, session_id: str) -> SessionRow | None:
        ended = next((row for row in self.rows.values() if row.id == session_id), None)
        self.rows = {digest: row for digest, row in self.rows.items() if row.id != session_id}
        return ended
