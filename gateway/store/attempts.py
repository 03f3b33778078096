"""Attempts to sign in, reserved before they are evaluated, so that parallel guesses cannot outrun the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

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
    """Each method is one transaction; all raise StoreUnavailable. Limits of one scope may differ in their windows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, attempt: str, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Count ``attempt`` against every limit, or against none and return the one that is exceeded."""
        async with self._database.write("attempts") as connection:
            await self._sweep(connection, limits, now)
            exceeded = await self._exceeded(connection, limits, now)
            if exceeded is not None:
                return exceeded
            rows = [
                {"attempt": attempt, "scope": scope, "key": key, "at": now}
                for scope, key in dict.fromkeys((limit.scope, limit.key) for limit in limits)
            ]
            await connection.execute(insert(attempts), rows)
        return None

    async def peek(self, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Return the limit that an attempt would run into; count nothing."""
        async with self._database.read() as connection:
            return await self._exceeded(connection, limits, now)

    async def release(self, attempt: str) -> None:
        """Forget ``attempt``: it did not fail."""
        async with self._database.write() as connection:
            await connection.execute(delete(attempts).where(attempts.c.attempt == attempt))

    async def unlock(self, keys: Sequence[tuple[str, str]]) -> int:
        """Forget every failure with one of these scopes and keys (a key that ends in ``|`` stands for all that begin so); return how many."""
        removed = 0
        async with self._database.write("attempts") as connection:
            for scope, key in keys:
                matches = attempts.c.key.startswith(key, autoescape=True) if key.endswith("|") else attempts.c.key == key
                removed += (await connection.execute(delete(attempts).where(attempts.c.scope == scope, matches))).rowcount
        return removed

    async def _sweep(self, connection: AsyncConnection, limits: Sequence[Limit], now: float) -> None:
        windows: dict[str, float] = {}
        for limit in limits:
            windows[limit.scope] = max(limit.window, windows.get(limit.scope, 0.0))
        for scope, window in windows.items():
            await connection.execute(delete(attempts).where(attempts.c.scope == scope, attempts.c.at <= now - window))

    async def _exceeded(self, connection: AsyncConnection, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Return the limit that is reached, of several the one that has to be waited for the longest."""
        found = None
        for limit in limits:
            where = (attempts.c.scope == limit.scope, attempts.c.key == limit.key, attempts.c.at > now - limit.window)
            count, oldest = (await connection.execute(select(func.count(), func.min(attempts.c.at)).where(*where))).one()
            if count >= limit.allowed and (found is None or oldest + limit.window > found.free_at):
                found = Exceeded(limit=limit, free_at=oldest + limit.window)
        return found
