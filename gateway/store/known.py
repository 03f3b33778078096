"""Where people have signed in from."""

from __future__ import annotations

from sqlalchemy import delete, select

from gateway.store.engine import Database
from gateway.store.tables import known_addresses


class KnownAddressStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_known(self, username: str, address: str, since: float) -> bool:
        """Tell whether ``username`` has signed in from ``address`` since then."""
        where = (known_addresses.c.username == username, known_addresses.c.address == address, known_addresses.c.last_at >= since)
        async with self._database.read() as connection:
            return (await connection.execute(select(known_addresses.c.last_at).where(*where))).first() is not None

    async def note(self, username: str, address: str, now: float, keep: float) -> None:
        """Note that ``username`` signed in from ``address``, and forget what is older than ``keep`` seconds."""
        values = {"username": username, "address": address, "last_at": now}
        statement = self._database.insert(known_addresses).values(values)
        async with self._database.write() as connection:
            await connection.execute(delete(known_addresses).where(known_addresses.c.last_at < now - keep))
            await connection.execute(statement.on_conflict_do_update(index_elements=["username", "address"], set_={"last_at": now}))
