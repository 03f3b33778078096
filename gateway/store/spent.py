"""What may be used once, and has been."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import spent


class SpentStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        new = database.insert(spent).on_conflict_do_nothing(index_elements=["kind", "digest"])
        # What was kept is asked back: of an INSERT, not every driver counts the rows.
        self._spend = new.returning(spent.c.kind)

    async def spend(self, kind: str, digest: bytes, *, now: float, expires_at: float) -> bool:
        """Use it up, in one atomic statement; tell whether it was still to be had. It is remembered until ``expires_at``."""

        def change(connection: Connection) -> bool:
            connection.execute(_SWEEP, {"now": now})
            return connection.execute(self._spend, {"kind": kind, "digest": digest, "expires_at": expires_at}).first() is not None

        return await self._database.write(change)

    async def is_spent(self, kind: str, digest: bytes, now: float) -> bool:
        """Tell whether it was used up, and is still remembered."""
        values = {"what": kind, "which": digest, "now": now}
        return await self._database.read(lambda connection: connection.execute(_FIND, values).first() is not None)


# Built once: they are asked with every sign-in.
_FIND = select(spent.c.kind).where(spent.c.kind == bindparam("what"), spent.c.digest == bindparam("which"), spent.c.expires_at >= bindparam("now"))
_SWEEP = delete(spent).where(spent.c.expires_at < bindparam("now"))
