"""The way to the database: one a process.

A transaction is a function that is given a connection and runs on a thread: one hop a transaction, not one a statement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import Connection

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store import postgresql, sqlite

_T = TypeVar("_T")
_PROBE = text("SELECT count(*) FROM authenticators WHERE id = ''")


class Transactions(Protocol):
    """A kind of database. Raises TimeoutError when it does not answer, StoreUnavailable for what it fails with, and what the functions raise."""

    async def write(self, change: Callable[[Connection], _T], lock: str | None, /) -> _T:
        """Run ``change`` in a transaction."""
        ...

    async def read(self, question: Callable[[Connection], _T], /) -> _T:
        """Run ``question`` outside a transaction."""
        ...

    async def snapshot(self, question: Callable[[Connection], _T], /) -> _T:
        """Run ``question`` on the store as it is at one moment."""
        ...

    async def close(self) -> None:
        """Finish what was handed over, and close every connection."""
        ...


class Database:
    """Transactions on the store; whatever the database fails with is raised as StoreUnavailable, within a bounded time.

    The functions run on a thread, to their end, although whoever waits for them is cancelled.
    """

    def __init__(self, transactions: Transactions, *, is_sqlite: bool) -> None:
        self._transactions = transactions
        self._is_sqlite = is_sqlite
        self._silent = False
        self._asking = False

    @property
    def is_sqlite(self) -> bool:
        """Whether there is one writer at a time."""
        return self._is_sqlite

    def insert(self, table: Table) -> Any:  # noqa: ANN401 - each dialect has a class of its own, alike in what is used of them
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite_dialect.insert(table) if self._is_sqlite else postgresql_dialect.insert(table)

    async def write(self, change: Callable[[Connection], _T], lock: str | None = None) -> _T:
        """Run ``change`` in a transaction and return what it returns once that is on the disk; what it raises undoes it.

        What it reads stays true until it commits for all who name the same ``lock``: on SQLite every writer waits for every other, on
        PostgreSQL those do that name the same lock.
        """
        with self._answering():
            return await self._transactions.write(change, lock)

    def lock(self, connection: Connection, name: str) -> None:
        """Wait, within a change, for all who hold the lock ``name``, and hold it to the end."""
        if not self._is_sqlite:
            postgresql.lock(connection, name)

    async def read(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question``, single statements outside a transaction, and return what it returns."""
        with self._answering():
            return await self._transactions.read(question)

    async def snapshot(self, question: Callable[[Connection], _T]) -> _T:
        """Run ``question`` on the store as it was at its first statement, whatever others write meanwhile, and return what it returns."""
        with self._answering():
            return await self._transactions.snapshot(question)

    async def ping(self) -> None:
        """Ask the database for something that it has; raise StoreUnavailable otherwise."""
        await self.read(lambda connection: connection.execute(_PROBE).one())

    async def close(self) -> None:
        """Finish what was handed over, and close every connection."""
        await self._transactions.close()

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Of a server that was silent, let one at a time find out whether it still is."""
        if self._silent and self._asking:
            raise StoreUnavailable("store: has not answered lately")
        asking = self._asking = self._silent
        try:
            yield
            self._silent = False
        except TimeoutError as error:
            # A file that another process keeps is waited for by each in turn.
            self._silent = not self._is_sqlite
            raise StoreUnavailable("store: does not answer") from error
        finally:
            if asking:
                self._asking = False


def open_database(store: Store, *, limit: float | None = None) -> Database:
    """Return the store's database; nothing is opened before the first statement.

    A transaction on PostgreSQL takes no longer than ``limit`` seconds, ``store.busy_timeout`` without it.
    """
    if sqlite.is_sqlite(store.url):
        return Database(sqlite.Transactions(store.url, store.busy_timeout), is_sqlite=True)
    return Database(postgresql.Transactions(store, store.busy_timeout if limit is None else limit), is_sqlite=False)
