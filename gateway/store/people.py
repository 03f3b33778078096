"""Everybody whom the store knows, at a glance, for administrators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, distinct, func, literal, or_, select
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.sessions import SESSION, TOKEN
from gateway.store.tables import accounts, attempts, authenticators, recovery_codes, sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """How much somebody has of everything; what has expired is not counted."""

    username: str
    authenticators: int
    recovery_codes: int
    sessions: int
    tokens: int


class PeopleStore:
    """Each method is one reading; all raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def everybody(self, now: float, idle: float) -> tuple[Person, ...]:
        """Return everybody who has a second factor, a session or a token, or of whom the directory was asked, by name.

        Counted are confirmed authenticators, unused recovery codes, sessions used within ``idle`` seconds, and tokens.
        """
        in_use = or_(sessions.c.kind != SESSION, sessions.c.last_used_at > now - idle)
        queries = {
            "known": select(accounts.c.username, literal(0)),
            "authenticators": _count(authenticators.c.username, authenticators.c.confirmed_at.is_not(None)),
            "recovery_codes": _count(recovery_codes.c.username, recovery_codes.c.used_at.is_(None)),
            "sessions": _count(sessions.c.username, sessions.c.kind == SESSION, sessions.c.expires_at > now, in_use),
            "tokens": _count(sessions.c.username, sessions.c.kind == TOKEN, sessions.c.expires_at > now),
        }

        def question(connection: Connection) -> dict[str, Counter[str]]:
            return {name: Counter({row[0]: row[1] for row in connection.execute(query)}) for name, query in queries.items()}

        counts = await self._database.read(question)
        names = sorted(set().union(*counts.values()))
        del counts["known"]
        return tuple(Person(username=name, **{what: of[name] for what, of in counts.items()}) for name in names)

    async def failures(self, keys: Sequence[tuple[str, str]]) -> int:
        """Return how many failures stand under these scopes and keys (a key that ends in ``|`` stands for all that begin so)."""
        matches: list[ColumnElement[bool]] = [
            and_(attempts.c.scope == scope, attempts.c.key.startswith(key, autoescape=True) if key.endswith("|") else attempts.c.key == key)
            for scope, key in keys
        ]
        query = select(func.count(distinct(attempts.c.attempt))).where(or_(*matches))
        return await self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def keys_under(self, scope: str, beginning: str, most: int) -> tuple[str, ...]:
        """Return up to ``most`` keys of a scope that begin so and under which failures stand."""
        where = (attempts.c.scope == scope, attempts.c.key.startswith(beginning, autoescape=True))
        query = select(attempts.c.key).distinct().where(*where).order_by(attempts.c.key).limit(most)
        return await self._database.read(lambda connection: tuple(connection.execute(query).scalars()))


def _count(username: ColumnElement[str], *where: ColumnElement[bool]) -> Select[str, int]:
    return select(username, func.count()).where(*where).group_by(username)
