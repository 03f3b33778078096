"""Sessions in the store, found by the SHA-256 of their token."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from sqlalchemy import delete, insert, select, update

from gateway.store.engine import Database
from gateway.store.tables import sessions


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


class SessionStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: SessionRow) -> None:
        """Keep ``row``, and sweep the sessions that had expired by the time it was made."""
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at < row.created_at))
            await connection.execute(insert(sessions).values(asdict(row)))

    async def find(self, token_sha256: bytes) -> SessionRow | None:
        """Return the session whose token has this digest."""
        async with self._database.read() as connection:
            result = await connection.execute(select(sessions).where(sessions.c.token_sha256 == token_sha256))
            row = result.mappings().one_or_none()
        return None if row is None else SessionRow(**row)

    async def touch(self, session_id: str, now: float) -> None:
        """Note that the session was used at ``now``."""
        async with self._database.write() as connection:
            await connection.execute(update(sessions).where(sessions.c.id == session_id, sessions.c.last_used_at < now).values(last_used_at=now))

    async def end(self, session_id: str) -> bool:
        """Remove the session; tell whether it was there."""
        async with self._database.write() as connection:
            result = await connection.execute(delete(sessions).where(sessions.c.id == session_id))
        return result.rowcount == 1

    async def end_all_of(self, username: str) -> int:
        """Remove every session of ``username``; return how many there were."""
        async with self._database.write() as connection:
            result = await connection.execute(delete(sessions).where(sessions.c.username == username))
        return result.rowcount
