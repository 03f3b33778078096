"""Sessions, personal tokens and enrolments in the store, found by the SHA-256 of their token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select, update

from gateway.store.engine import Database
from gateway.store.tables import sessions

SESSION, TOKEN, ENROLMENT = "session", "token", "enrolment"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session; times are seconds since the epoch."""

    id: str
    token_sha256: bytes = field(repr=False)
    kind: str
    username: str
    uid: int
    created_at: float
    expires_at: float
    last_used_at: float
    second_factor_at: float
    address: str
    client: str
    factor: str
    name: str = ""
    scopes: tuple[str, ...] = ("*",)
    networks: tuple[str, ...] = ()
    made_in: str | None = None

    def values(self) -> dict[str, Any]:
        """Return the row as the table has it."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {**plain, "scopes": json.dumps(self.scopes), "networks": json.dumps(self.networks)}

    @classmethod
    def of(cls, row: RowMapping) -> SessionRow:
        """Read a row of the table."""
        return cls(**{**row, "scopes": tuple(json.loads(row["scopes"])), "networks": tuple(json.loads(row["networks"]))})


class SessionStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: SessionRow, *, most: int | None = None) -> bool:
        """Keep ``row``, and sweep the sessions that had expired by the time it was made.

        Nothing is kept, and False returned, when the person has ``most`` of that kind already.
        """
        async with self._database.write(f"sessions/{row.username}") as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at < row.created_at))
            if most is not None:
                mine = (sessions.c.username == row.username, sessions.c.kind == row.kind)
                if (await connection.execute(select(func.count()).where(*mine))).scalar_one() >= most:
                    return False
            await connection.execute(insert(sessions).values(row.values()))
        return True

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Return the session whose token has this digest."""
        async with self._database.read() as connection:
            result = await connection.execute(select(sessions).where(sessions.c.token_sha256 == token_sha256))
            row = result.mappings().one_or_none()
        return None if row is None else SessionRow.of(row)

    async def of(self, kind: str, username: str | None = None) -> tuple[SessionRow, ...]:
        """Return the sessions of a kind, of one person or of all, newest first."""
        where = [sessions.c.kind == kind] + ([] if username is None else [sessions.c.username == username])
        query = select(sessions).where(*where).order_by(sessions.c.created_at.desc(), sessions.c.id)
        async with self._database.read() as connection:
            return tuple(SessionRow.of(row) for row in (await connection.execute(query)).mappings())

    async def lately_used(self, since: float, most: int) -> tuple[SessionRow, ...]:
        """Return up to ``most`` sessions used since then, the latest first."""
        query = select(sessions).where(sessions.c.last_used_at >= since).order_by(sessions.c.last_used_at.desc()).limit(most)
        async with self._database.read() as connection:
            return tuple(SessionRow.of(row) for row in (await connection.execute(query)).mappings())

    async def touch(self, session_id: str, now: float) -> None:
        """Note that the session was used at ``now``."""
        async with self._database.write() as connection:
            await connection.execute(update(sessions).where(sessions.c.id == session_id, sessions.c.last_used_at < now).values(last_used_at=now))

    async def prove_again(self, session_id: str, factor: str, now: float) -> bool:
        """Note that the second factor was proved at ``now``; tell whether the session was there."""
        async with self._database.write() as connection:
            result = await connection.execute(update(sessions).where(sessions.c.id == session_id).values(second_factor_at=now, factor=factor))
        return result.rowcount == 1

    async def end(self, session_id: str, *, kind: str | None = None, username: str | None = None) -> SessionRow | None:
        """Remove the session, if it is of that kind and that person's; return what was removed."""
        where = [sessions.c.id == session_id]
        where += [] if kind is None else [sessions.c.kind == kind]
        where += [] if username is None else [sessions.c.username == username]
        async with self._database.write() as connection:
            row = (await connection.execute(delete(sessions).where(*where).returning(sessions))).mappings().one_or_none()
        return None if row is None else SessionRow.of(row)

    async def end_all_of(self, username: str, *, kind: str | None = None) -> int:
        """Remove every session of ``username``, or those of a kind; return how many there were."""
        where = [sessions.c.username == username] + ([] if kind is None else [sessions.c.kind == kind])
        async with self._database.write() as connection:
            result = await connection.execute(delete(sessions).where(*where))
        return result.rowcount
