"""Sessions, personal tokens and enrolments in the store, found by the SHA-256 of their token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

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

        def change(connection: Connection) -> bool:
            connection.execute(_SWEEP, {"before": row.created_at})
            if most is not None:
                mine = (sessions.c.username == row.username, sessions.c.kind == row.kind)
                if connection.execute(select(func.count()).where(*mine)).scalar_one() >= most:
                    return False
            connection.execute(_INSERT, row.values())
            return True

        return await self._database.write(change, f"sessions/{row.username}")

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Return the session whose token has this digest."""
        row = await self._database.read(lambda connection: connection.execute(_FIND, {"digest": token_sha256}).mappings().one_or_none())
        return None if row is None else SessionRow.of(row)

    async def of(self, kind: str, username: str | None = None) -> tuple[SessionRow, ...]:
        """Return the sessions of a kind, of one person or of all, newest first."""
        where = [sessions.c.kind == kind] + ([] if username is None else [sessions.c.username == username])
        return await self._all(select(sessions).where(*where).order_by(sessions.c.created_at.desc(), sessions.c.id))

    async def lately_used(self, since: float, most: int) -> tuple[SessionRow, ...]:
        """Return up to ``most`` sessions used since then, the latest first."""
        return await self._all(select(sessions).where(sessions.c.last_used_at >= since).order_by(sessions.c.last_used_at.desc()).limit(most))

    async def _all(self, query: Select[Any]) -> tuple[SessionRow, ...]:
        return await self._database.read(lambda connection: tuple(SessionRow.of(row) for row in connection.execute(query).mappings()))

    async def touch(self, session_id: str, now: float) -> None:
        """Note that the session was used at ``now``."""
        await self._database.write(lambda connection: connection.execute(_TOUCH, {"session": session_id, "now": now}))

    async def prove_again(self, session_id: str, factor: str, now: float) -> bool:
        """Note that the second factor was proved at ``now``; tell whether the session was there."""
        statement = update(sessions).where(sessions.c.id == session_id).values(second_factor_at=now, factor=factor)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount) == 1

    async def end(self, session_id: str, *, kind: str | None = None, username: str | None = None) -> SessionRow | None:
        """Remove the session, if it is of that kind and that person's; return what was removed."""
        where = [sessions.c.id == session_id]
        where += [] if kind is None else [sessions.c.kind == kind]
        where += [] if username is None else [sessions.c.username == username]
        statement = delete(sessions).where(*where).returning(sessions)
        row = await self._database.write(lambda connection: connection.execute(statement).mappings().one_or_none())
        return None if row is None else SessionRow.of(row)

    async def end_all_of(self, username: str, *, kind: str | None = None) -> int:
        """Remove every session of ``username``, or those of a kind; return how many there were."""
        where = [sessions.c.username == username] + ([] if kind is None else [sessions.c.kind == kind])
        return await self._database.write(lambda connection: connection.execute(delete(sessions).where(*where)).rowcount)


# Built once: they are asked with every sign-in, or with every request.
_INSERT = insert(sessions)
_SWEEP = delete(sessions).where(sessions.c.expires_at < bindparam("before"))
_FIND = select(sessions).where(sessions.c.token_sha256 == bindparam("digest"))
_TOUCH = (
    update(sessions).where(sessions.c.id == bindparam("session"), sessions.c.last_used_at < bindparam("now")).values(last_used_at=bindparam("now"))
)
