"""The way to the database: one engine a process, and the one place where its errors become ours."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import StoreUnavailable


class Database:
    """Transactions on the store; whatever the database fails with is raised as StoreUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def is_sqlite(self) -> bool:
        """Whether there is one writer at a time."""
        return self._engine.dialect.name == "sqlite"

    def insert(self, table: Table) -> Any:  # noqa: ANN401 - each dialect has a class of its own, alike in what is used of them
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    @contextlib.asynccontextmanager
    async def write(self, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        """Open a transaction; what it reads stays true until it commits for all who name the same ``lock``.

        On SQLite every writer waits for every other from its start; on PostgreSQL those do that name the same lock.
        """
        try:
            async with self._engine.begin() as connection:
                if lock is not None and not self.is_sqlite:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})
                yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"store: {type(error).__name__}") from error

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for single statements outside a transaction."""
        try:
            async with self._engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"store: {type(error).__name__}") from error

    async def ping(self) -> None:
        """Ask the database for something that it has; raise StoreUnavailable otherwise."""
        async with self.read() as connection:
            await connection.execute(text("SELECT count(*) FROM authenticators WHERE id = ''"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def open_database(url: str, busy_timeout: float) -> Database:
    """Return the database at ``url`` (``sqlite:////path``); nothing is opened before the first statement."""
    location = make_url(url).set(drivername="sqlite+aiosqlite")
    # A worker's statements are short and few (the sessions' cache sees to it), so a handful of connections do.
    engine = create_async_engine(
        location, pool_size=4, max_overflow=0, pool_timeout=busy_timeout, connect_args={"timeout": busy_timeout}, hide_parameters=True
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return Database(engine)


def _prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event passes the driver's own objects
    """Set up one SQLite connection: write-ahead log, every commit on the disk, foreign keys, no implicit transactions."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()


def _begin_immediate(connection: Any) -> None:  # noqa: ANN401 - as above
    """Take the writer's lock at once: two transactions that both read first and then write could never both be right.

    SQLAlchemy tells of a beginning under AUTOCOMMIT too; there it is none, and a read must not wait for a writer.
    """
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
