"""Where people have signed in from."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import known_addresses


class KnownAddressStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._note = database.insert(known_addresses)
        self._note = self._note.on_conflict_do_update(index_elements=["username", "address"], set_={"last_at": self._note.excluded.last_at})

    async def is_known(self, username: str, address: str, since: float) -> bool:
        """Tell whether ``username`` has signed in from ``address`` since then."""
        return await self._database.read(self.asking(username, address, since))

    def asking(self, username: str, address: str, since: float) -> Callable[[Connection], bool]:
        """Return ``is_known`` as a part of a transaction."""
        values = {"who": username, "where": address, "since": since}
        return lambda connection: connection.execute(_FIND, values).first() is not None

    async def note(self, username: str, address: str, now: float, keep: float) -> None:
        """Note that ``username`` signed in from ``address``, and forget what is older than ``keep`` seconds."""
        await self._database.write(self.noting(username, address, now, keep))

    def noting(self, username: str, address: str, now: float, keep: float) -> Callable[[Connection], None]:
        """Return ``note`` as a part of a transaction."""

        def change(connection: Connection) -> None:
            connection.execute(_SWEEP, {"before": now - keep})
            connection.execute(self._note, {"username": username, "address": address, "last_at": now})

        return change


# Built once: they are asked with every sign-in.
_known = known_addresses.c
_FIND = select(_known.last_at).where(_known.username == bindparam("who"), _known.address == bindparam("where"), _known.last_at >= bindparam("since"))
_SWEEP = delete(known_addresses).where(_known.last_at < bindparam("before"))
