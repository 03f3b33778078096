"""The way to the database: one engine a process, and the one place where its errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.config import SecretFileError, Store
from gateway.errors import StoreUnavailable
from gateway.store import postgresql, sqlite

# Whatever a database, its driver or the way to it fails with; UnicodeError: a text that the driver cannot send.
_FOREIGN = (SQLAlchemyError, sqlite3.Error, psycopg.Error, OSError, UnicodeError, SecretFileError)
_LONGEST_EXPLANATION = 400


class Database:
    """Transactions on the store; whatever the database fails with is raised as StoreUnavailable, within a bounded time."""

    def __init__(self, engine: AsyncEngine, *, limit: float | None = None, writer: sqlite.Writer | None = None) -> None:
        self._engine = engine
        self._limit = limit
        self._writer = writer
        self._silent = False
        self._asking = False

    @property
    def is_sqlite(self) -> bool:
        """Whether there is one writer at a time."""
        return self._writer is not None

    def insert(self, table: Table) -> Any:  # noqa: ANN401 - each dialect has a class of its own, alike in what is used of them
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite_dialect.insert(table) if self.is_sqlite else postgresql_dialect.insert(table)

    @contextlib.asynccontextmanager
    async def write(self, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        """Open a transaction; what it reads stays true until it commits for all who name the same ``lock``.

        On SQLite every writer waits for every other from its start; on PostgreSQL those do that name the same lock.
        """
        async with self._bounded():
            if self._writer is not None:
                async with self._writer.turn() as connection:
                    yield connection
            else:
                async with self._engine.begin() as connection:
                    if lock is not None:
                        await self.lock(connection, lock)
                    yield connection

    async def lock(self, connection: AsyncConnection, name: str) -> None:
        """Wait, within a transaction, for all who hold the lock ``name``, and hold it to the end."""
        if not self.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": name})

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for single statements outside a transaction."""
        async with self._bounded(), self._engine.connect() as connection:
            yield connection if self.is_sqlite else await connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection that sees the store as it was at its first statement, whatever others write meanwhile."""
        async with self._bounded(), self._engine.connect() as connection:
            if self.is_sqlite:
                await connection.exec_driver_sql("BEGIN")
                yield connection
                await connection.exec_driver_sql("ROLLBACK")
            else:
                yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def ping(self) -> None:
        """Ask the database for something that it has; raise StoreUnavailable otherwise."""
        async with self.read() as connection:
            await connection.execute(text("SELECT count(*) FROM authenticators WHERE id = ''"))

    async def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            await self._writer.close()
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Wait for the database no longer than ``limit``; of a database that was silent, one at a time finds out whether it still is."""
        if self._silent and self._asking:
            raise StoreUnavailable("store: has not answered lately")
        asking = self._asking = self._silent
        try:
            async with asyncio.timeout(self._limit):
                yield
            self._silent = False
        except TimeoutError as error:
            self._silent = self._limit is not None
            raise StoreUnavailable("store: does not answer") from error
        except _FOREIGN as error:
            raise StoreUnavailable(f"store: {kind(error)}") from error
        finally:
            if asking:
                self._asking = False


def kind(error: BaseException) -> str:
    """Return what kind of failure it is, in the driver's word for it, which tells nothing of any value."""
    return type(_origin(error)).__name__


def explanation(error: BaseException | None) -> str:
    """Return the driver's own words, one line, for an administrator at a terminal; there are no parameters in it."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    words = " ".join(str(_origin(error)).split()) if error is not None else ""
    return words[:_LONGEST_EXPLANATION] or "no reason given"


def _origin(error: BaseException | None) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def open_database(store: Store, *, limit: float | None = None) -> Database:
    """Return the store's database; nothing is opened before the first statement.

    A transaction on PostgreSQL takes no longer than ``limit`` seconds, ``store.busy_timeout`` without it.
    """
    if sqlite.is_sqlite(store.url):
        engine = sqlite.engine(store.url, store.busy_timeout)
        return Database(engine, writer=sqlite.Writer(engine, store.busy_timeout))
    longest = store.busy_timeout if limit is None else limit
    return Database(postgresql.engine(store, longest), limit=longest)
