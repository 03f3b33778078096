"""Submissions with an idempotency key: one row a key, claimed before anything is sent, and settled with the answer."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, func, select, update
from sqlalchemy.engine import Connection

from gateway.store.engine import Database
from gateway.store.tables import submissions


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRow:
    """One key of one person on one cluster; times are seconds since the epoch. Its end is not known while ``status`` is 0."""

    username: str
    cluster: str
    key_sha256: bytes = field(repr=False)
    attempt: str
    request_sha256: bytes = field(repr=False)
    mark: str
    created_at: float
    held_until: float
    status: int = 0
    content_type: str = ""
    answer: bytes = field(default=b"", repr=False)
    job_id: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether the key has its answer."""
        return self.status != 0

    def values(self) -> dict[str, Any]:
        """Return the row as the table has it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, row: RowMapping) -> SubmissionRow:
        """Read a row of the table."""
        return cls(**{**row, "key_sha256": bytes(row["key_sha256"]), "request_sha256": bytes(row["request_sha256"]), "answer": bytes(row["answer"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """The person has as many keys as one may have; the oldest of them that has its answer was claimed then."""

    oldest: float


class SubmissionStore:
    """Each method is one transaction; all raise StoreUnavailable. What changes a row names its ``attempt``: nobody changes another's sending."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # What was kept is asked back: of an INSERT, not every driver counts the rows.
        self._claim = database.insert(submissions).on_conflict_do_nothing(index_elements=list(_KEY)).returning(submissions.c.attempt)
        self._swept_before = -math.inf
        # How many more keys people may have before theirs are counted again.
        self._room: dict[str, int] = {}

    async def claim(self, row: SubmissionRow, *, forget_before: float, most: int) -> SubmissionRow | Full:
        """Keep ``row`` in one atomic statement, unless the key has one already; return the row that is there.

        Keys that got their answer before ``forget_before`` are as if they had never been. One without its end is kept for ever, for it may have
        made a job. Of one person, no more than ``most`` are kept; several workers together may be off by as many again.
        """

        def change(connection: Connection) -> SubmissionRow | Full | None:
            if forget_before - self._swept_before >= _SWEEP_EVERY:
                self._sweep(connection, forget_before)
            if self._room.get(row.username, 0) <= 0:
                found = _find(connection, row)
                if found is None and (full := self._count(connection, row.username, most)) is not None:
                    return full
            if connection.execute(self._claim, row.values()).first() is not None:
                self._room[row.username] = self._room.get(row.username, 0) - 1
                return row
            found = _find(connection, row)
            if found is not None and found.is_settled and found.created_at < forget_before:
                self._sweep(connection, forget_before)
                return None
            return found

        while True:
            kept = await self._database.write(change)
            # None: the key has just come free.
            if kept is not None:
                return kept

    def _sweep(self, connection: Connection, before: float) -> None:
        self._swept_before = before
        connection.execute(_SWEEP, {"before": before})

    def _count(self, connection: Connection, username: str, most: int) -> Full | None:
        """Count somebody's keys, and note for how many more that will do."""
        count, oldest = connection.execute(_COUNT, {"of_user": username}).one()
        if count >= most:
            return Full(oldest=oldest)
        if len(self._room) >= _MOST_COUNTED:
            self._room.clear()
        self._room[username] = (most - count + _MOST_WORKERS - 1) // _MOST_WORKERS
        return None

    async def take(self, row: SubmissionRow, *, now: float, until: float) -> bool:
        """Hold a row whose end is not known and that nobody holds any more, in one atomic statement; tell whether it was to be had."""
        return await self._changed(_TAKE, {**_sending(row), "now": now, "until": until}) == 1

    async def replace(self, old: SubmissionRow, new: SubmissionRow) -> bool:
        """Put a new sending in the place of one that has made no job, in one atomic statement; tell whether it was still there."""
        values = {f"new_{name}": value for name, value in new.values().items() if name not in _KEY}
        return await self._changed(_REPLACE, {**_sending(old), **values}) == 1

    async def hold(self, rows: Sequence[SubmissionRow], until: float) -> None:
        """Hold rows for longer."""
        await self._changed(_HOLD, [{**_sending(row), "until": until} for row in rows])

    async def release(self, row: SubmissionRow) -> None:
        """Let others be at it."""
        await self._changed(_HOLD, {**_sending(row), "until": 0.0})

    async def settle(self, row: SubmissionRow) -> bool:
        """Keep the answer that ``row`` has; tell whether it is what the key answers from now on."""
        values = {"new_status": row.status, "new_content_type": row.content_type, "new_answer": row.answer, "new_job_id": row.job_id}
        return await self._changed(_SETTLE, {**_sending(row), **values}) == 1

    async def forget(self, row: SubmissionRow) -> None:
        """Give the key back: it is certain that this sending has made no job."""
        await self._changed(_FORGET, _sending(row))

    async def others(self, row: SubmissionRow, job_ids: Collection[int], within: float) -> tuple[frozenset[int], int]:
        """Return those of the jobs that other keys of the same person have answered with, and how many others wait for their end.

        Of the latter, those that were sent without a mark, and no further than ``within`` seconds before or after.
        """
        if not job_ids:
            return frozenset(), 0
        table = submissions.c
        mine = (table.username == row.username, table.cluster == row.cluster, table.key_sha256 != row.key_sha256)
        known = select(table.job_id).where(*mine, table.job_id.in_(job_ids))
        near = table.created_at.between(row.created_at - within, row.created_at + within)
        waiting = select(func.count()).where(*mine, table.status == 0, table.mark == "", near)

        def question(connection: Connection) -> tuple[frozenset[int], int]:
            # In this order: one that is settled between the two is at least counted once.
            count: int = connection.execute(waiting).scalar_one()
            return frozenset(connection.execute(known).scalars()), count

        return await self._database.read(question)

    async def _changed(self, statement: Any, values: Any) -> int:  # noqa: ANN401 - a statement, and a row or several
        return await self._database.write(lambda connection: connection.execute(statement, values).rowcount)


_KEY = ("username", "cluster", "key_sha256")
# Seconds between two sweeps by a worker.
_SWEEP_EVERY = 60.0
# What room there is, is shared out among as many workers as there may be.
_MOST_WORKERS = 64
_MOST_COUNTED = 10_000


def _find(connection: Connection, row: SubmissionRow) -> SubmissionRow | None:
    found = connection.execute(_FIND, _place(row)).mappings().one_or_none()
    return None if found is None else SubmissionRow.of(found)


def _place(row: SubmissionRow) -> dict[str, object]:
    return {f"of_{name}": getattr(row, name) for name in _KEY}


def _sending(row: SubmissionRow) -> dict[str, object]:
    return {**_place(row), "of_attempt": row.attempt}


# Built once: they are asked with every submission that has a key.
_HERE = [submissions.c[name] == bindparam(f"of_{name}") for name in _KEY]
_OPEN = [*_HERE, submissions.c.attempt == bindparam("of_attempt"), submissions.c.status == 0]
_SWEEP = delete(submissions).where(submissions.c.created_at < bindparam("before"), submissions.c.status != 0)
_COUNT = select(func.count(), func.coalesce(func.min(submissions.c.created_at), 0.0)).where(submissions.c.username == bindparam("of_user"))
_FIND = select(submissions).where(*_HERE)
_TAKE = update(submissions).where(*_OPEN, submissions.c.held_until <= bindparam("now")).values(held_until=bindparam("until"))
_HOLD = update(submissions).where(*_OPEN).values(held_until=bindparam("until"))
_REPLACE = (
    update(submissions)
    .where(*_OPEN)
    .values({column.name: bindparam(f"new_{column.name}") for column in submissions.columns if column.name not in _KEY})
)
_SETTLE = update(submissions).where(*_OPEN).values({name: bindparam(f"new_{name}") for name in ("status", "content_type", "answer", "job_id")})
_FORGET = delete(submissions).where(*_OPEN)
