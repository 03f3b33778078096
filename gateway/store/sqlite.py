"""SQLite: how each connection is set up, and one writer that commits together what waits together.

Each commit is flushed to the disk, and only one transaction can be open for writing. So transactions take turns on one connection, each
in a savepoint of its own, and one commit keeps them all; nobody is told that theirs is kept before it is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_T = TypeVar("_T")

# Readers of one worker, and its writer; statements are short and few, for the sessions' cache sees to it.
_POOL = 5
# Whoever came first waits for those who are kept together with them; so many, and no more.
_MOST_TOGETHER = 64


def is_sqlite(url: str) -> bool:
    """Tell whether ``url`` names a file."""
    return url.startswith("sqlite:")


def database_path(url: str) -> Path:
    """Return the file that ``sqlite:////path`` names."""
    return Path(make_url(url).database or "")


def engine(url: str, busy_timeout: float) -> AsyncEngine:
    """Return an engine without transactions of its own: each statement stands alone, but within what the Writer begins."""
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(database_path(url))),
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=busy_timeout,
        connect_args={"timeout": busy_timeout},
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    event.listen(made.sync_engine, "connect", _prepare)
    return made


def _prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event passes the driver's own objects
    """Set up one connection: write-ahead log, every commit on the disk, foreign keys, no implicit transactions."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        cursor.execute(statement)
    cursor.close()


class _Undisturbed(AsyncConnection):
    """A connection whose statements run to their end although the asker goes away; only then are they told to go.

    Broken off within a statement, the connection, and with it the transactions of others, would be lost.
    """

    __slots__ = ()

    async def execute(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the class above has it
        """Execute a statement of SQLAlchemy's."""
        return await _to_its_end(super().execute(*arguments, **options))

    async def exec_driver_sql(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Execute a statement in SQLite's own words."""
        return await _to_its_end(super().exec_driver_sql(*arguments, **options))


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # whoever would have had it has gone
        raise


class _Turn:
    """One transaction on its way: granted a connection, or refused one; ended, to be kept or not; and kept, or failed."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.granted: asyncio.Future[_Undisturbed] = loop.create_future()
        self.wanted: asyncio.Future[bool] = loop.create_future()
        self.outcome: asyncio.Future[Exception | None] = loop.create_future()

    def end(self, *, keep: bool) -> None:
        if not self.wanted.done():
            self.wanted.set_result(keep)

    def settle(self, failure: Exception | None) -> None:
        if failure is not None and not self.granted.done():
            self.granted.set_exception(failure)
        if not self.outcome.done():
            self.outcome.set_result(failure)


class Writer:
    """Gives the turns. A task of its own begins and commits, so that nobody's going away leaves a transaction open."""

    def __init__(self, source: AsyncEngine, patience: float) -> None:
        self._engine = source
        self._patience = patience
        self._queue: deque[_Turn] = deque()
        self._task: asyncio.Task[None] | None = None
        self._connection: _Undisturbed | None = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction, which is on the disk when the block has ended without an exception; one that raises leaves nothing behind.

        Raises TimeoutError when it is not its turn within ``patience`` seconds, and whatever SQLAlchemy or SQLite does.
        """
        turn = _Turn()
        self._queue.append(turn)
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(self._patience):
                connection = await turn.granted
            yield connection
        except BaseException:
            turn.end(keep=False)
            raise
        turn.end(keep=True)
        failure = await asyncio.shield(turn.outcome)
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Finish what is under way and close the connection."""
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _serve(self) -> None:
        try:
            while (turn := self._next()) is not None:
                await self._together(turn)
        finally:
            self._task = None
            for left in self._queue:
                left.settle(TimeoutError("the writer was stopped"))

    def _next(self) -> _Turn | None:
        """Return whose turn it is; whoever gave up meanwhile is passed over."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.granted.done():
                return turn
        return None

    async def _together(self, first: _Turn) -> None:
        """Run ``first``, and whoever waits when it ends, in one transaction; all who are to be kept hear what became of it."""
        kept: list[_Turn] = []
        turn: _Turn | None = first
        failure: Exception | None = TimeoutError("the writer was stopped")
        try:
            connection = await self._begun()
            while turn is not None:
                if await self._one(turn, connection, alone=not kept):
                    kept.append(turn)
                turn = self._next() if len(kept) < _MOST_TOGETHER else None
            await self._say("COMMIT")
            failure = None
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            failure = error
            await self._discard()
        finally:
            for each in (*kept, turn):
                if each is not None:
                    each.settle(failure)

    async def _one(self, turn: _Turn, connection: _Undisturbed, *, alone: bool) -> bool:
        """Grant ``turn`` the connection and wait for its end; tell whether it is to be kept, having undone it if not."""
        if not alone:
            await self._say("SAVEPOINT turn")
        # Who gave up meanwhile has said so already.
        if not turn.granted.done():
            turn.granted.set_result(connection)
        keep = await turn.wanted
        if not keep:
            for statement in ("ROLLBACK", "BEGIN IMMEDIATE") if alone else ("ROLLBACK TO turn", "RELEASE turn"):
                await self._say(statement)
        return keep

    async def _begun(self) -> _Undisturbed:
        """Take the writer's lock at once: two transactions that both read first and then write could never both be right."""
        if self._connection is None:
            connection = _Undisturbed(self._engine)
            await connection.start()
            self._connection = connection
        await self._say("BEGIN IMMEDIATE")
        return self._connection

    async def _say(self, statement: str) -> None:
        """Speak to the driver itself: SQLAlchemy takes five times as long for a word that it has no part in."""
        assert self._connection is not None  # noqa: S101 - opened by _begun, before anything else
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101 - it is None only when the connection is closed
        await driver.execute(statement)

    async def _discard(self) -> None:
        """Close the connection, whatever state it is in; what was not committed is undone by that."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, sqlite3.Error, OSError):
                await connection.invalidate()
                await connection.close()
