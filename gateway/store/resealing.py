"""Which keys seal the secrets in the store, and sealing them anew under the first one while the gateway runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Select, select, update
from sqlalchemy.engine import Connection

from gateway.store.authenticators import seal_row
from gateway.store.engine import Database
from gateway.store.sealing import BrokenSealError, KeyRing, key_of
from gateway.store.tables import authenticators

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One secret in the store, by the row that it is bound to."""

    id: str
    username: str
    secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How many secrets were sealed anew, and the ids of those that no key opens."""

    count: int
    broken: tuple[str, ...]


async def rows_by_key(database: Database) -> Counter[str]:
    """Return how many secrets each key seals, by its id; raise StoreUnavailable."""
    return Counter([key_of(sealed.secret) async for batch in _batches(database) for sealed in batch])


async def reseal(database: Database, ring: KeyRing, progress: Callable[[int], None]) -> Resealed:
    """Seal every secret under the first key of ``ring``, until none is left under another; raise StoreUnavailable.

    Each is replaced only if it is still what was read, so that nothing that the running gateway does meanwhile is lost.
    ``progress`` is told the number done so far. What cannot be opened is left as it is.
    """
    done = 0
    while True:
        broken: list[str] = []
        met = False
        async for batch in _batches(database):
            for sealed in batch:
                if key_of(sealed.secret) == ring.current:
                    continue
                row = seal_row(sealed.id, sealed.username)
                try:
                    plain = ring.open(sealed.secret, row)
                except BrokenSealError:
                    broken.append(sealed.id)
                    continue
                met = True
                done += await _replace(database, sealed, ring.seal(plain.reveal(), row))
            progress(done)
        if not met:
            return Resealed(count=done, broken=tuple(broken))


async def _batches(database: Database) -> AsyncIterator[list[Sealed]]:
    """Read all the secrets, some at a time, in the order of their ids."""
    after = ""
    columns = (authenticators.c.id, authenticators.c.username, authenticators.c.sealed_secret)
    while True:
        query = select(*columns).where(authenticators.c.id > after).order_by(authenticators.c.id).limit(_AT_ONCE)
        batch = await database.read(partial(_sealed, query))
        if not batch:
            return
        yield batch
        after = batch[-1].id


def _sealed(query: Select[str, str, bytes], connection: Connection) -> list[Sealed]:
    return [Sealed(id=row[0], username=row[1], secret=row[2]) for row in connection.execute(query)]


async def _replace(database: Database, old: Sealed, new: bytes) -> int:
    where = (authenticators.c.id == old.id, authenticators.c.sealed_secret == old.secret)
    statement = update(authenticators).where(*where).values(sealed_secret=new)
    return await database.write(lambda connection: connection.execute(statement).rowcount)
