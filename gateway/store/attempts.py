"""Attempts to sign in, reserved before they are evaluated, so that parallel guesses cannot outrun the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from gateway.store.engine import Database
from gateway.store.tables import attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most ``allowed`` failures within ``window`` seconds for ``key`` in ``scope``."""

    scope: str
    key: str
    allowed: int
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """The limit that an attempt ran into, and the time (seconds since the epoch) at which it will have room again."""

    limit: Limit
    free_at: float


class AttemptStore:
    """Each method is one transaction; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, attempt: str, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Count ``attempt`` against every limit, or against none and return the one that is exceeded."""
        oldest_window = max(limit.window for limit in limits)
        async with self._database.write() as connection:
            await connection.execute(delete(attempts).where(attempts.c.at <= now - oldest_window))
            for limit in limits:
                where = (attempts.c.scope == limit.scope, attempts.c.key == limit.key, attempts.c.at > now - limit.window)
                count, oldest = (await connection.execute(select(func.count(), func.min(attempts.c.at)).where(*where))).one()
                if count >= limit.allowed:
                    return Exceeded(limit=limit, free_at=oldest + limit.window)
            rows = [{"attempt": attempt, "scope": limit.scope, "key": limit.key, "at": now} for limit in limits]
            await connection.execute(insert(attempts), rows)
        return None

    async def release(self, attempt: str) -> None:
        """Forget ``attempt``: it did not fail."""
        async with self._database.write() as connection:
            await connection.execute(delete(attempts).where(attempts.c.attempt == attempt))
