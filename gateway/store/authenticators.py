"""Second factors in the store; claiming a step or a recovery code is one atomic statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import authenticators, recovery_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorRow:
    """One person's authenticator; the secret is sealed for ``seal_row``. Until it is confirmed, nobody signs in with it."""

    id: str
    username: str
    name: str
    sealed_secret: bytes = field(repr=False)
    last_step: int
    created_at: float
    confirmed_at: float | None
    last_used_at: float | None = None
    origin: str

    @property
    def seal_row(self) -> str:
        """What the sealed secret is bound to."""
        return seal_row(self.id, self.username)

    def values(self) -> dict[str, Any]:
        """Return the row as the table has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def seal_row(authenticator_id: str, username: str) -> str:
    """Return the row that a secret is bound to: moved to another id or user, it does not open."""
    return f"authenticators/{authenticator_id}/{username}"


class AuthenticatorStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, username: str) -> tuple[AuthenticatorRow, ...]:
        """Return the authenticators of ``username``, confirmed or not, oldest first."""
        return await self._database.read(
            lambda connection: tuple(AuthenticatorRow(**row) for row in connection.execute(_OF, {"owner": username}).mappings())
        )

    async def add(self, row: AuthenticatorRow, code_digests: tuple[bytes, ...] = (), *, most: int, pending_since: float = 0.0) -> str | None:
        """Keep ``row`` and, if there are any, these recovery codes in the place of older ones; return why it was not kept, or None.

        Authenticators of the person that wait for their confirmation from before ``pending_since`` are swept. The reasons:
        ``too_many`` (``most`` there already) and ``name_taken``.
        """
        mine = authenticators.c.username == row.username

        def change(connection: Connection) -> str | None:
            stale = (authenticators.c.confirmed_at.is_(None), authenticators.c.created_at < pending_since)
            connection.execute(delete(authenticators).where(mine, *stale))
            names = connection.execute(select(authenticators.c.name).where(mine)).scalars().all()
            if len(names) >= most:
                return "too_many"
            if row.name in names:
                return "name_taken"
            connection.execute(insert(authenticators).values(row.values()))
            if code_digests:
                _replace_codes(connection, row.username, code_digests)
            return None

        return await self._database.write(change, _lock(row.username))

    async def confirm(self, authenticator_id: str, step: int, code_digests: tuple[bytes, ...], now: float, *, first: bool = False) -> bool:
        """Confirm with the code of ``step``, which is used up, and replace its owner's recovery codes; tell whether it waited for that.

        ``first`` confirms it only while its owner has no other that is confirmed.
        """
        table = authenticators.c
        owner = select(table.username).where(table.id == authenticator_id)
        waits = (table.id == authenticator_id, table.confirmed_at.is_(None), table.last_step < step)

        def change(connection: Connection) -> bool:
            username = connection.execute(owner).scalar_one_or_none()
            if username is None:
                return False
            # Of two that are confirmed at once, the second must see the first, and its codes to replace them.
            self._database.lock(connection, _lock(username))
            if first and _confirmed(connection, username):
                return False
            result = connection.execute(update(authenticators).where(*waits).values(confirmed_at=now, last_used_at=now, last_step=step))
            if result.rowcount != 1:
                return False
            _replace_codes(connection, username, code_digests)
            return True

        return await self._database.write(change)

    async def remove(self, username: str, authenticator_id: str) -> bool:
        """Remove one authenticator of ``username``, and the recovery codes if no other is confirmed; tell whether it was there."""
        return await self._database.write(lambda connection: _remove(connection, username, authenticator_id), _lock(username))

    async def remove_one_of_several(self, username: str, authenticator_id: str) -> str | None:
        """Remove one authenticator of ``username`` unless no other is confirmed; return why not (``unknown``, ``last``), or None."""

        def change(connection: Connection) -> str | None:
            if _confirmed(connection, username) == [authenticator_id]:
                return "last"
            return None if _remove(connection, username, authenticator_id) else "unknown"

        return await self._database.write(change, _lock(username))

    async def remove_all_of(self, username: str) -> int:
        """Remove the authenticators of ``username`` and the recovery codes; return how many authenticators there were."""

        def change(connection: Connection) -> int:
            _replace_codes(connection, username, ())
            return connection.execute(delete(authenticators).where(authenticators.c.username == username)).rowcount

        return await self._database.write(change, _lock(username))

    async def claim_step(self, authenticator_id: str, step: int, now: float) -> bool:
        """Use up ``step`` and every one before it; tell whether it was still to be had (RFC 6238 section 5.2)."""
        values = {"authenticator": authenticator_id, "step": step, "now": now}
        return await self._database.write(lambda connection: connection.execute(_CLAIM, values).rowcount) == 1

    async def claim_recovery_code(self, username: str, digest: bytes, now: float) -> bool:
        """Use up the recovery code with this digest; tell whether it was there and unused."""
        codes = recovery_codes.c
        where = (codes.code_sha256 == digest, codes.username == username, codes.used_at.is_(None))
        statement = update(recovery_codes).where(*where).values(used_at=now)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount) == 1

    async def recovery_codes_left(self, username: str) -> int:
        """Return how many recovery codes of ``username`` are unused."""
        query = select(func.count()).where(recovery_codes.c.username == username, recovery_codes.c.used_at.is_(None))
        return await self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def replace_recovery_codes(self, username: str, code_digests: tuple[bytes, ...]) -> None:
        """Keep these recovery codes of ``username`` in the place of all others."""
        await self._database.write(lambda connection: _replace_codes(connection, username, code_digests), _lock(username))


def _lock(username: str) -> str:
    return f"authenticators/{username}"


def _confirmed(connection: Connection, username: str) -> list[str]:
    """Return the ids of the authenticators of ``username`` that are confirmed."""
    query = select(authenticators.c.id).where(authenticators.c.username == username, authenticators.c.confirmed_at.is_not(None))
    return list(connection.execute(query).scalars())


def _remove(connection: Connection, username: str, authenticator_id: str) -> bool:
    where = (authenticators.c.id == authenticator_id, authenticators.c.username == username)
    if connection.execute(delete(authenticators).where(*where)).rowcount != 1:
        return False
    if not _confirmed(connection, username):
        _replace_codes(connection, username, ())
    return True


def _replace_codes(connection: Connection, username: str, digests: tuple[bytes, ...]) -> None:
    connection.execute(delete(recovery_codes).where(recovery_codes.c.username == username))
    if digests:
        connection.execute(insert(recovery_codes), [{"code_sha256": digest, "username": username} for digest in digests])


# Built once: they are asked with every sign-in.
_OF = select(authenticators).where(authenticators.c.username == bindparam("owner")).order_by(authenticators.c.created_at, authenticators.c.id)
_CLAIM = (
    update(authenticators)
    .where(authenticators.c.id == bindparam("authenticator"), authenticators.c.last_step < bindparam("step"))
    .values(last_step=bindparam("step"), last_used_at=bindparam("now"))
)
