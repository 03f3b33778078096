"""SQLite: how each connection is set up, and one writer that commits together what waits together.

Each commit is flushed to the disk, and only one transaction can be open for writing. So changes are run one after the other on one thread and
one connection, each in a savepoint of its own, and one commit keeps them all; nobody is told that theirs is kept before it is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from gateway.store.failures import FOREIGN, as_ours
from gateway.store.threads import Job, Threads, one_by_one

_T = TypeVar("_T")

# Readers of one worker, beside its writer; statements are short and few, for the sessions' cache sees to it.
_READERS = 3
# Whoever came first waits for those who are kept together with them; so many, and no more.
_MOST_TOGETHER = 64


def is_sqlite(url: str) -> bool:
    """Tell whether ``url`` names a file."""
    return url.startswith("sqlite:")


def database_path(url: str) -> Path:
    """Return the file that ``sqlite:////path`` names."""
    return Path(make_url(url).database or "")


def engine(url: str, busy_timeout: float) -> Engine:
    """Return an engine without transactions of its own: each statement stands alone, but within what the Writer begins."""
    made = create_engine(
        URL.create("sqlite", database=str(database_path(url))),
        pool_size=_READERS + 1,
        max_overflow=0,
        pool_timeout=busy_timeout,
        # A connection is used by one thread at a time, but not always by the same.
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    event.listen(made, "connect", _prepare)
    return made


def _prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event passes the driver's own objects
    """Set up one connection: write-ahead log, every commit on the disk, foreign keys, no implicit transactions."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()


class Transactions:
    """Transactions on a file: changes on one thread, questions on a few others. Raise what Threads and the changes do."""

    def __init__(self, url: str, busy_timeout: float) -> None:
        self._engine = engine(url, busy_timeout)
        self._patience = busy_timeout
        self._writer = Writer(self._engine)
        self._writing = Threads(1, self._writer.together, most=_MOST_TOGETHER)
        self._reading = Threads(_READERS, one_by_one)

    async def write(self, change: Callable[[Connection], _T], _lock: str | None) -> _T:
        """Run ``change`` when it is its turn, which it waits for no longer than ``busy_timeout``; every change waits for every other."""
        changed: _T = await self._writing.do(change, self._patience)
        return changed

    async def read(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question`` on a connection of its own."""

        def ask(job: Job) -> _T:
            job.begun = True
            with self._engine.connect() as connection:
                return question(connection)

        answer: _T = await self._reading.do(ask, self._patience)
        return answer

    async def snapshot(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question`` on a connection that sees the store as it was at its first statement."""

        def ask(connection: Connection) -> _T:
            connection.exec_driver_sql("BEGIN")
            try:
                return question(connection)
            finally:
                connection.exec_driver_sql("ROLLBACK")

        return await self.read(ask)

    async def close(self) -> None:
        """Finish what was handed over, and close every connection."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writing.close()
        self._writer.close()
        self._reading.close()
        self._engine.dispose()


class Writer:
    """Runs changes together, on one connection; all of it on one thread."""

    def __init__(self, source: Engine) -> None:
        self._engine = source
        self._connection: Connection | None = None

    def together(self, jobs: Sequence[Job]) -> None:
        """Run the changes in one transaction; what one of them raises undoes that one alone, a commit that fails undoes all."""
        try:
            connection = self._begun()
            for job in jobs:
                # Whoever gave up while another process was waited for has said so already.
                job.begun = not job.given_up
            kept = 0
            for job in jobs:
                if job.begun:
                    kept += self._one(job, connection, alone=not kept)
            self._say("COMMIT")
        except FOREIGN as error:
            self.close()
            for job in jobs:
                # Each has an exception of its own: one that is raised in several places would collect all their traces.
                job.error = job.error or as_ours(error)

    def _one(self, job: Job, connection: Connection, *, alone: bool) -> bool:
        """Run one change; tell whether it is to be kept, having undone it if not."""
        if not alone:
            self._say("SAVEPOINT turn")
        keep = job.run(connection)
        if keep and not self._driver().in_transaction:
            raise sqlite3.OperationalError("the transaction was given up")
        if not keep:
            for statement in ("ROLLBACK", "BEGIN IMMEDIATE") if alone else ("ROLLBACK TO turn", "RELEASE turn"):
                self._say(statement)
        return keep

    def _begun(self) -> Connection:
        """Take the writer's lock at once: two transactions that both read first and then write could never both be right."""
        if self._connection is None:
            self._connection = self._engine.connect()
        self._say("BEGIN IMMEDIATE")
        return self._connection

    def _say(self, statement: str) -> None:
        """Speak to the driver itself: SQLAlchemy takes five times as long for a word that it has no part in."""
        self._driver().execute(statement)

    def _driver(self) -> sqlite3.Connection:
        assert self._connection is not None  # noqa: S101 - opened by _begun, before anything else
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - it is None only when the connection is closed
        return driver

    def close(self) -> None:
        """Close the connection, whatever state it is in; what was not committed is undone by that."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FOREIGN):
                connection.invalidate()
                connection.close()
