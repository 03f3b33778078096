"""What may be used once, and has been."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import spent


class SpentStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, kind: str, digest: bytes, *, now: float, expires_at: float) -> bool:
        """Use it up, in one atomic statement; tell whether it was still to be had. It is remembered until ``expires_at``."""
        statement = self._database.insert(spent).values(kind=kind, digest=digest, expires_at=expires_at)

        def change(connection: Connection) -> bool:
            connection.execute(delete(spent).where(spent.c.expires_at < now))
            # What was kept is asked back: of an INSERT, not every driver counts the rows.
            kept = connection.execute(statement.on_conflict_do_nothing(index_elements=["kind", "digest"]).returning(spent.c.kind))
            return kept.first() is not None

        return await self._database.write(change)

    async def is_spent(self, kind: str, digest: bytes, now: float) -> bool:
        """Tell whether it was used up, and is still remembered."""
        query = select(spent.c.kind).where(spent.c.kind == kind, spent.c.digest == digest, spent.c.expires_at >= now)
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)
