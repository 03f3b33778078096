"""Second factors in the store; claiming a step or a recovery code is one atomic statement."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, update

from gateway.store.engine import Database
from gateway.store.tables import authenticators, recovery_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorRow:
    """One person's authenticator; the secret is sealed for ``seal_row``."""

    id: str
    username: str
    name: str
    sealed_secret: bytes = field(repr=False)
    last_step: int
    created_at: float

    @property
    def seal_row(self) -> str:
        """What the sealed secret is bound to."""
        return seal_row(self.id, self.username)


def seal_row(authenticator_id: str, username: str) -> str:
    """Return the row that a secret is bound to: moved to another id or user, it does not open."""
    return f"authenticators/{authenticator_id}/{username}"


class AuthenticatorStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, username: str) -> tuple[AuthenticatorRow, ...]:
        """Return the authenticators of ``username``, oldest first."""
        query = select(authenticators).where(authenticators.c.username == username).order_by(authenticators.c.created_at, authenticators.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(AuthenticatorRow(**row) for row in rows)

    async def add(self, row: AuthenticatorRow, code_digests: tuple[bytes, ...]) -> bool:
        """Keep ``row`` and its recovery codes unless the person has an authenticator already; tell whether it was kept."""
        async with self._database.write() as connection:
            taken = (await connection.execute(select(authenticators.c.id).where(authenticators.c.username == row.username).limit(1))).first()
            if taken is not None:
                return False
            await connection.execute(
                insert(authenticators).values(
                    id=row.id,
                    username=row.username,
                    name=row.name,
                    sealed_secret=row.sealed_secret,
                    last_step=row.last_step,
                    created_at=row.created_at,
                )
            )
            codes = [{"code_sha256": digest, "authenticator_id": row.id, "username": row.username} for digest in code_digests]
            await connection.execute(insert(recovery_codes), codes)
        return True

    async def remove_all_of(self, username: str) -> int:
        """Remove the authenticators of ``username`` with their recovery codes; return how many there were."""
        async with self._database.write() as connection:
            await connection.execute(delete(recovery_codes).where(recovery_codes.c.username == username))
            result = await connection.execute(delete(authenticators).where(authenticators.c.username == username))
        return result.rowcount

    async def claim_step(self, authenticator_id: str, step: int) -> bool:
        """Use up ``step`` and every one before it; tell whether it was still to be had (RFC 6238 section 5.2)."""
        async with self._database.write() as connection:
            result = await connection.execute(
                update(authenticators).where(authenticators.c.id == authenticator_id, authenticators.c.last_step < step).values(last_step=step)
            )
        return result.rowcount == 1

    async def claim_recovery_code(self, username: str, digest: bytes, now: float) -> bool:
        """Use up the recovery code with this digest; tell whether it was there and unused."""
        codes = recovery_codes.c
        async with self._database.write() as connection:
            result = await connection.execute(
                update(recovery_codes).where(codes.code_sha256 == digest, codes.username == username, codes.used_at.is_(None)).values(used_at=now)
            )
        return result.rowcount == 1
