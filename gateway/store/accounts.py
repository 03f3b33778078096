"""What the directory last said of people who have a session, for all workers and nodes to see."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from gateway.store.engine import Database
from gateway.store.tables import accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """Somebody who may use the gateway: uid and groups as of ``checked_at`` (seconds since the epoch)."""

    username: str
    uid: int
    groups: frozenset[str]
    checked_at: float


class AccountStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        new = database.insert(accounts)
        changed = {name: new.excluded[name] for name in ("uid", "groups", "checked_at")}
        self._keep = new.on_conflict_do_update(index_elements=["username"], set_=changed, where=accounts.c.checked_at < new.excluded.checked_at)

    async def find(self, username: str) -> AccountRow | None:
        """Return what was last heard of ``username``, or None when nothing was or they were refused."""
        row = await self._database.read(lambda connection: connection.execute(_FIND, {"name": username}).mappings().one_or_none())
        return None if row is None else AccountRow(**{**row, "groups": frozenset(json.loads(row["groups"]))})

    async def keep(self, row: AccountRow) -> None:
        """Keep what was heard, unless something later is there."""
        values = {"username": row.username, "uid": row.uid, "groups": json.dumps(sorted(row.groups)), "checked_at": row.checked_at}
        await self._database.write(lambda connection: connection.execute(self._keep, values))

    async def forget(self, username: str) -> None:
        """Forget ``username``, whom the directory has refused."""
        await self._database.write(lambda connection: connection.execute(delete(accounts).where(accounts.c.username == username)))


# Built once: they are asked with every sign-in.
_FIND = select(accounts).where(accounts.c.username == bindparam("name"))
