"""Attempts to sign in, reserved before they are evaluated, so that parallel guesses cannot outrun the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from sqlalchemy import TextClause, bindparam, delete, insert, text
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import attempts

_T = TypeVar("_T")

# Seconds between two sweeps of a scope; to what is counted, it makes no difference.
_SWEEP_EVERY = 60.0


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
        self._swept_at: dict[str, float] = {}

    async def enter(self, attempt: str, question: Callable[[Connection], _T], limits: Callable[[_T], Sequence[Limit]], now: float) -> Exceeded | None:
        """Count ``attempt`` as ``reserve`` does, against the limits that follow from the answer to ``question``."""
        return await self._database.write(lambda connection: self._reserve(connection, attempt, limits(question(connection)), now), "attempts")

    async def reserve(self, attempt: str, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Count ``attempt`` against every limit, or against none and return the one that is exceeded."""
        return await self._database.write(lambda connection: self._reserve(connection, attempt, limits, now), "attempts")

    async def peek(self, limits: Sequence[Limit], now: float) -> Exceeded | None:
        """Return the limit that an attempt would run into; count nothing."""
        return await self._database.read(lambda connection: _exceeded(connection, limits, now))

    async def release(self, attempt: str, *, also: Callable[[Connection], object] | None = None) -> None:
        """Forget ``attempt``: it did not fail; and do ``also`` with it."""

        def change(connection: Connection) -> None:
            connection.execute(_RELEASE, {"released": attempt})
            if also is not None:
                also(connection)

        await self._database.write(change)

    async def unlock(self, keys: Sequence[tuple[str, str]]) -> int:
        """Forget every failure with one of these scopes and keys (a key that ends in ``|`` stands for all that begin so); return how many."""

        def change(connection: Connection) -> int:
            removed = 0
            for scope, key in keys:
                matches = attempts.c.key.startswith(key, autoescape=True) if key.endswith("|") else attempts.c.key == key
                removed += connection.execute(delete(attempts).where(attempts.c.scope == scope, matches)).rowcount
            return removed

        return await self._database.write(change, "attempts")

    def _reserve(self, connection: Connection, attempt: str, limits: Sequence[Limit], now: float) -> Exceeded | None:
        self._sweep(connection, limits, now)
        exceeded = _exceeded(connection, limits, now)
        if exceeded is None:
            places = dict.fromkeys((limit.scope, limit.key) for limit in limits)
            connection.execute(_INSERT, [{"attempt": attempt, "scope": scope, "key": key, "at": now} for scope, key in places])
        return exceeded

    def _sweep(self, connection: Connection, limits: Sequence[Limit], now: float) -> None:
        """Remove what no limit of these scopes counts any more, once in a while."""
        windows: dict[str, float] = {}
        for limit in limits:
            windows[limit.scope] = max(limit.window, windows.get(limit.scope, 0.0))
        for scope, window in windows.items():
            if now - self._swept_at.get(scope, -math.inf) >= _SWEEP_EVERY:
                self._swept_at[scope] = now
                connection.execute(delete(attempts).where(attempts.c.scope == scope, attempts.c.at <= now - window))


def _exceeded(connection: Connection, limits: Sequence[Limit], now: float) -> Exceeded | None:
    """Return the limit that is reached, of several the one that has to be waited for the longest."""
    places = {f"{name}{number}": value for number, limit in enumerate(limits) for name, value in _place(limit, now)}
    found = None
    for number, count, oldest in connection.execute(_counts(len(limits)), places):
        limit = limits[number]
        if count >= limit.allowed and (found is None or oldest + limit.window > found.free_at):
            found = Exceeded(limit=limit, free_at=oldest + limit.window)
    return found


def _place(limit: Limit, now: float) -> tuple[tuple[str, object], ...]:
    return (("scope", limit.scope), ("key", limit.key), ("since", now - limit.window))


@lru_cache
def _counts(limits: int) -> TextClause:
    """Return one question for the counters of all limits; written out, for it is asked twice with every sign-in."""
    one = "SELECT {0}, count(*), min(at) FROM attempts WHERE scope = :scope{0} AND key = :key{0} AND at > :since{0}"
    return text(" UNION ALL ".join(one.format(number) for number in range(limits)))


_INSERT = insert(attempts)
_RELEASE = delete(attempts).where(attempts.c.attempt == bindparam("released"))
