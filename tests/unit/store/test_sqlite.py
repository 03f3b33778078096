from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.sqlite import Transactions, database_path, is_sqlite
from tests.unit.conftest import sqlite_store

Open = Callable[[Store], Database]


@pytest.fixture
async def transactions(store_path: Path) -> AsyncIterator[Transactions]:
    transactions = Transactions(f"sqlite:///{store_path}", 1.0)
    yield transactions
    await transactions.close()


def insert(connection: Connection, name: str) -> None:
    connection.exec_driver_sql("INSERT INTO attempts VALUES (?, 'account', 'alice', 1.0)", (name,))


async def keep(transactions: Transactions, name: str, *, raising: bool = False) -> None:
    def change(connection: Connection) -> None:
        insert(connection, name)
        if raising:
            raise KeyError(name)

    await transactions.write(change, None)


class Plug:
    """A change that holds the writer until it is pulled, so that what is handed over meanwhile is run together."""

    def __init__(self, transactions: Transactions) -> None:
        self._inside, self._pulled = threading.Event(), threading.Event()
        self.task = asyncio.ensure_future(transactions.write(self._hold, None))

    def _hold(self, _connection: Connection) -> None:
        self._inside.set()
        assert self._pulled.wait(10)

    async def held(self) -> None:
        await asyncio.to_thread(self._inside.wait, 10)

    def pull(self) -> None:
        self._pulled.set()


async def together(transactions: Transactions, *changes: Coroutine[Any, Any, object]) -> list[object]:
    """Run what is handed over in one group; return what became of each."""
    plug = Plug(transactions)
    await plug.held()
    tasks = [asyncio.create_task(change) for change in changes]
    await asyncio.sleep(0)
    plug.pull()
    await plug.task
    return await asyncio.gather(*tasks, return_exceptions=True)


def kept(path: Path) -> list[str]:
    """Return what another process finds in the store."""
    other = sqlite3.connect(path)
    names = [name for (name,) in other.execute("SELECT attempt FROM attempts ORDER BY attempt")]
    other.close()
    return names


@pytest.fixture
def said(transactions: Transactions, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the writer says of its own."""
    words: list[str] = []
    writer = transactions._writer
    say = writer._say

    def listen(statement: str) -> None:
        words.append(statement)
        say(statement)

    monkeypatch.setattr(writer, "_say", listen)
    return words


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:////var/lib/gateway.db", "/var/lib/gateway.db"),
        ("sqlite:////a/b c/gateway.db", "/a/b c/gateway.db"),
        ("sqlite:////a%20b/gateway.db", "/a b/gateway.db"),
        ("sqlite:////a@b:c/gateway.db", "/a@b:c/gateway.db"),
        ("sqlite:////é/gateway.db", "/é/gateway.db"),
    ],
)
def test_the_file_is_the_one_that_the_url_names(url: str, name: str) -> None:
    assert (is_sqlite(url), database_path(url)) == (True, Path(name))


def test_a_server_is_no_file() -> None:
    assert not is_sqlite("postgresql://gateway@db.example.org/gateway")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)],
)
async def test_every_connection_is_set_up(transactions: Transactions, pragma: str, value: object) -> None:
    def ask(connection: Connection) -> object:
        return connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()

    assert (await transactions.read(ask), await transactions.write(ask, None)) == (value, value)


async def test_a_change_holds_the_writers_lock_from_its_start(transactions: Transactions, store_path: Path) -> None:
    def change(_connection: Connection) -> None:
        other = sqlite3.connect(store_path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()

    await transactions.write(change, None)


async def test_when_a_change_is_kept_others_find_what_it_wrote_and_no_lock(transactions: Transactions, store_path: Path) -> None:
    await keep(transactions, "a")
    other = sqlite3.connect(store_path, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    assert kept(store_path) == ["a"]


async def test_what_waits_together_is_committed_together(transactions: Transactions, said: list[str], store_path: Path) -> None:
    await together(transactions, *(keep(transactions, f"{number:02}") for number in range(20)))
    assert (len(kept(store_path)), said[2:]) == (20, ["BEGIN IMMEDIATE", *["SAVEPOINT turn"] * 19, "COMMIT"])


async def test_nobody_waits_for_more_than_a_bounded_number_of_others(transactions: Transactions, said: list[str], store_path: Path) -> None:
    await together(transactions, *(keep(transactions, f"{number:03}") for number in range(150)))
    assert (len(kept(store_path)), said.count("COMMIT")) == (150, 4)


async def test_somebody_alone_needs_no_savepoint(transactions: Transactions, said: list[str]) -> None:
    await keep(transactions, "a")
    assert said == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_a_change_sees_what_the_one_before_it_wrote(transactions: Transactions) -> None:
    def count(connection: Connection) -> int:
        seen = int(connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one())
        insert(connection, str(seen))
        return seen

    assert await together(transactions, *(transactions.write(count, None) for _ in range(10))) == list(range(10))


@pytest.mark.parametrize("bad", [{0}, {5}, {9}, {0, 1, 2}, {0, 5, 9}, set(range(10))])
async def test_a_change_that_raises_undoes_itself_alone(transactions: Transactions, store_path: Path, bad: set[int]) -> None:
    outcomes = await together(transactions, *(keep(transactions, str(number), raising=number in bad) for number in range(10)))
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, KeyError)] == sorted(bad)
    assert kept(store_path) == [str(number) for number in range(10) if number not in bad]


async def test_a_statement_that_fails_undoes_its_change_alone(transactions: Transactions, store_path: Path) -> None:
    outcomes = await together(transactions, *(keep(transactions, name) for name in "abac"))
    assert ([type(outcome) for outcome in outcomes], kept(store_path)) == ([type(None), type(None), StoreUnavailable, type(None)], ["a", "b", "c"])


async def test_nobody_hears_of_success_before_the_commit(transactions: Transactions, monkeypatch: pytest.MonkeyPatch, store_path: Path) -> None:
    writer, reached, go = transactions._writer, threading.Event(), threading.Event()
    say = writer._say

    def slowly(statement: str) -> None:
        if statement == "COMMIT":
            reached.set()
            assert go.wait(10)
        say(statement)

    monkeypatch.setattr(writer, "_say", slowly)
    task = asyncio.create_task(keep(transactions, "a"))
    await asyncio.to_thread(reached.wait, 10)
    before = task.done(), kept(store_path)
    go.set()
    await task
    assert (before, kept(store_path)) == ((False, []), ["a"])


async def test_a_commit_that_fails_fails_all_whom_it_was_for_and_nobody_after_them(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch, store_path: Path
) -> None:
    writer = transactions._writer
    say, commits = writer._say, iter([None, sqlite3.OperationalError("disk I/O error")])

    def failing(statement: str) -> None:
        if statement == "COMMIT" and (failure := next(commits, None)):
            raise failure
        say(statement)

    monkeypatch.setattr(writer, "_say", failing)
    outcomes = await together(transactions, *(keep(transactions, name, raising=name == "c") for name in "abcd"))
    await keep(transactions, "e")
    assert ([type(outcome) for outcome in outcomes], kept(store_path)) == ([StoreUnavailable, StoreUnavailable, KeyError, StoreUnavailable], ["e"])
    assert len({id(outcome) for outcome in outcomes}) == 4


async def test_a_transaction_that_sqlite_has_given_up_by_itself_is_kept_of_nobody(transactions: Transactions, store_path: Path) -> None:
    def loses(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")

    outcomes = await together(transactions, keep(transactions, "a"), transactions.write(loses, None), keep(transactions, "b"))
    await keep(transactions, "c")
    assert ([type(outcome) for outcome in outcomes], kept(store_path)) == ([StoreUnavailable] * 3, ["c"])


@pytest.mark.parametrize("number", range(5))
async def test_what_was_handed_over_is_kept_although_its_caller_is_cancelled(transactions: Transactions, store_path: Path, number: int) -> None:
    plug = Plug(transactions)
    await plug.held()
    tasks = [asyncio.create_task(keep(transactions, name)) for name in "abcde"]
    await asyncio.sleep(0)
    tasks[number].cancel()
    await asyncio.wait({tasks[number]})
    plug.pull()
    await plug.task
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ([task.cancelled() for task in tasks].count(True), kept(store_path)) == (1, list("abcde"))


async def test_another_writer_is_waited_for_no_longer_than_told(open_store: Open, store_path: Path) -> None:
    database = open_store(sqlite_store(store_path, "200ms"))
    other = sqlite3.connect(store_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def change(connection: Connection) -> None:
        insert(connection, "a")

    async with asyncio.timeout(0.9):
        outcomes = await asyncio.gather(*(database.write(change) for _ in range(100)), return_exceptions=True)
    other.close()
    assert ({type(outcome) for outcome in outcomes}, kept(store_path)) == ({StoreUnavailable}, [])
    await database.write(change)
    assert kept(store_path) == ["a"]


async def test_closing_finishes_what_was_handed_over(store_path: Path) -> None:
    transactions = Transactions(f"sqlite:///{store_path}", 1.0)
    tasks = [asyncio.create_task(keep(transactions, name)) for name in "abc"]
    await asyncio.sleep(0)
    await transactions.close()
    await asyncio.gather(*tasks)
    assert kept(store_path) == ["a", "b", "c"]


# Files that are no store.


async def test_a_store_that_is_a_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(sqlite_store(tmp_path)).ping()


async def test_a_store_in_no_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    database = open_store(sqlite_store(tmp_path / "absent" / "gateway.db"))
    with pytest.raises(StoreUnavailable):
        await database.ping()
    with pytest.raises(StoreUnavailable):
        await database.write(lambda _: None)


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_store_that_is_corrupt_is_unavailable(open_store: Open, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrupt.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        await open_store(sqlite_store(path)).ping()


async def test_a_store_that_turns_corrupt_is_unavailable(database: Database, store_path: Path) -> None:
    await database.ping()
    with store_path.open("r+b") as file:
        file.write(b"\0" * 65536)
    with pytest.raises(StoreUnavailable):
        await database.write(lambda connection: insert(connection, "a"))


async def test_a_store_that_cannot_be_written_to_is_unavailable(database: Database, store_path: Path) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=ON")
        insert(connection, "a")

    with pytest.raises(StoreUnavailable):
        await database.write(change)
    assert kept(store_path) == []


async def test_nothing_is_opened_before_it_is_needed(open_store: Open, tmp_path: Path) -> None:
    open_store(sqlite_store(tmp_path / "gateway.db"))
    assert not any(os.scandir(tmp_path))


@pytest.fixture
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
async def test_the_files_beside_the_store_are_its_owners_alone(database: Database, store_path: Path) -> None:
    await database.write(lambda connection: insert(connection, "a"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in store_path.parent.iterdir() if path.name.startswith("gateway.db")}
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
