from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.sqlite import Writer, database_path, engine, is_sqlite
from tests.unit.conftest import sqlite_store

Open = Callable[[Store], Database]


@pytest.fixture
async def writer(store_path: Path) -> AsyncIterator[Writer]:
    source = engine(f"sqlite:///{store_path}", 1.0)
    writer = Writer(source, 1.0)
    yield writer
    await writer.close()
    await source.dispose()


async def insert(connection: AsyncConnection, name: str) -> None:
    await connection.exec_driver_sql("INSERT INTO attempts VALUES (?, 'account', 'alice', 1.0)", (name,))


async def keep(writer: Writer, name: str, *, raising: bool = False) -> None:
    async with writer.turn() as connection:
        await insert(connection, name)
        if raising:
            raise KeyError(name)


def kept(path: Path) -> list[str]:
    """Return what another process finds in the store."""
    other = sqlite3.connect(path)
    names = [name for (name,) in other.execute("SELECT attempt FROM attempts ORDER BY attempt")]
    other.close()
    return names


@pytest.fixture
def said(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the writer says of its own."""
    words: list[str] = []
    say = writer._say

    async def listen(statement: str) -> None:
        words.append(statement)
        await say(statement)

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
async def test_every_connection_is_set_up(writer: Writer, database: Database, store_path: Path, pragma: str, value: object) -> None:
    assert is_sqlite(f"sqlite:///{store_path}")
    async with database.read() as connection:
        read = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one()
    async with writer.turn() as connection:
        written = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one()
    assert (read, written) == (value, value)


async def test_a_turn_holds_the_writers_lock_from_its_start(writer: Writer, store_path: Path) -> None:
    async with writer.turn():
        other = sqlite3.connect(store_path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


async def test_when_a_turn_has_ended_others_find_what_it_wrote_and_no_lock(writer: Writer, store_path: Path) -> None:
    await keep(writer, "a")
    other = sqlite3.connect(store_path, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    assert kept(store_path) == ["a"]


async def test_what_waits_together_is_committed_together(writer: Writer, said: list[str], store_path: Path) -> None:
    await asyncio.gather(*(keep(writer, f"{number:02}") for number in range(20)))
    assert (len(kept(store_path)), said) == (20, ["BEGIN IMMEDIATE", *["SAVEPOINT turn"] * 19, "COMMIT"])


async def test_nobody_waits_for_more_than_a_bounded_number_of_others(writer: Writer, said: list[str], store_path: Path) -> None:
    await asyncio.gather(*(keep(writer, f"{number:03}") for number in range(150)))
    assert (len(kept(store_path)), said.count("COMMIT")) == (150, 3)


async def test_somebody_alone_needs_no_savepoint(writer: Writer, said: list[str]) -> None:
    await keep(writer, "a")
    assert said == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_a_turn_sees_what_the_one_before_it_wrote(writer: Writer) -> None:
    async def count() -> int:
        async with writer.turn() as connection:
            seen = int((await connection.exec_driver_sql("SELECT count(*) FROM attempts")).scalar_one())
            await insert(connection, str(seen))
            return seen

    assert sorted(await asyncio.gather(*(count() for _ in range(10)))) == list(range(10))


@pytest.mark.parametrize("bad", [{0}, {5}, {9}, {0, 1, 2}, {0, 5, 9}, set(range(10))])
async def test_a_turn_that_raises_undoes_itself_alone(writer: Writer, store_path: Path, bad: set[int]) -> None:
    outcomes = await asyncio.gather(*(keep(writer, str(number), raising=number in bad) for number in range(10)), return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, KeyError)] == sorted(bad)
    assert kept(store_path) == [str(number) for number in range(10) if number not in bad]


async def test_a_statement_that_fails_undoes_its_turn_alone(writer: Writer, store_path: Path) -> None:
    outcomes = await asyncio.gather(*(keep(writer, name) for name in "abac"), return_exceptions=True)
    assert ([type(outcome).__name__ for outcome in outcomes], kept(store_path)) == (
        ["NoneType", "NoneType", "IntegrityError", "NoneType"],
        ["a", "b", "c"],
    )


async def test_nobody_hears_of_success_before_the_commit(writer: Writer, monkeypatch: pytest.MonkeyPatch, store_path: Path) -> None:
    say, reached, go = writer._say, asyncio.Event(), asyncio.Event()

    async def slowly(statement: str) -> None:
        if statement == "COMMIT":
            reached.set()
            await go.wait()
        await say(statement)

    monkeypatch.setattr(writer, "_say", slowly)
    tasks = [asyncio.create_task(keep(writer, name)) for name in "ab"]
    await reached.wait()
    before = [task.done() for task in tasks], kept(store_path)
    go.set()
    await asyncio.gather(*tasks)
    assert (before, kept(store_path)) == (([False, False], []), ["a", "b"])


async def test_a_commit_that_fails_fails_all_whom_it_was_for_and_nobody_after_them(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, store_path: Path
) -> None:
    say, failures = writer._say, iter([sqlite3.OperationalError("disk I/O error")])

    async def failing(statement: str) -> None:
        if statement == "COMMIT" and (failure := next(failures, None)):
            raise failure
        await say(statement)

    monkeypatch.setattr(writer, "_say", failing)
    outcomes = await asyncio.gather(*(keep(writer, name) for name in "abc"), return_exceptions=True)
    await keep(writer, "d")
    assert ([type(outcome) for outcome in outcomes], kept(store_path)) == ([sqlite3.OperationalError] * 3, ["d"])


@pytest.mark.parametrize("steps", range(12))
async def test_somebody_who_is_cancelled_takes_nobody_along(writer: Writer, store_path: Path, steps: int) -> None:
    """Cancelled after each of some steps of the loop: in the queue, in a statement, between statements, waiting for the commit."""
    tasks = {name: asyncio.create_task(keep(writer, name)) for name in "abcde"}
    for _ in range(steps):
        await asyncio.sleep(0)
    tasks["b"].cancel()
    outcomes = dict(zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True))
    await keep(writer, "f")
    assert {name: outcome for name, outcome in outcomes.items() if outcome is not None and name != "b"} == {}
    assert set("acdef") <= set(kept(store_path)) <= set("abcdef")


async def test_somebody_who_is_cancelled_within_a_turn_leaves_nothing(writer: Writer, store_path: Path) -> None:
    inside = asyncio.Event()

    async def stays() -> None:
        async with writer.turn() as connection:
            await insert(connection, "a")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stays())
    await inside.wait()
    task.cancel()
    await asyncio.wait({task})
    await keep(writer, "b")
    assert (task.cancelled(), kept(store_path)) == (True, ["b"])


async def test_somebody_who_is_cancelled_within_a_statement_lets_it_end(writer: Writer, store_path: Path) -> None:
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n"
    inside = asyncio.Event()

    async def works() -> None:
        async with writer.turn() as connection:
            await insert(connection, "b")
            inside.set()
            await connection.exec_driver_sql(long)

    first, second = asyncio.create_task(keep(writer, "a")), asyncio.create_task(works())
    await inside.wait()
    await asyncio.sleep(0)
    second.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await keep(writer, "c")
    assert (first.exception(), second.cancelled(), kept(store_path)) == (None, True, ["a", "c"])


async def test_another_writer_is_waited_for_no_longer_than_told(open_store: Open, store_path: Path) -> None:
    database = open_store(sqlite_store(store_path, "200ms"))
    other = sqlite3.connect(store_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.write():
            pass

    async with asyncio.timeout(2):
        outcomes = await asyncio.gather(*(write() for _ in range(5)), return_exceptions=True)
    other.close()
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    await write()


async def test_closing_lets_what_is_under_way_end(store_path: Path) -> None:
    source = engine(f"sqlite:///{store_path}", 1.0)
    writer = Writer(source, 1.0)
    task = asyncio.create_task(keep(writer, "a"))
    await asyncio.sleep(0)
    await writer.close()
    await task
    await source.dispose()
    assert kept(store_path) == ["a"]


# Files that are no store.


async def test_a_store_that_is_a_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(sqlite_store(tmp_path)).ping()


async def test_a_store_in_no_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    database = open_store(sqlite_store(tmp_path / "absent" / "gateway.db"))
    with pytest.raises(StoreUnavailable):
        await database.ping()
    with pytest.raises(StoreUnavailable):
        async with database.write():
            pass


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
        async with database.write() as connection:
            await insert(connection, "a")


async def test_a_store_that_cannot_be_written_to_is_unavailable(database: Database, store_path: Path) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql("PRAGMA query_only=ON")
            await insert(connection, "a")

    with pytest.raises(StoreUnavailable):
        await write()
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
    async with database.write() as connection:
        await insert(connection, "a")
    modes = {path.name: path.stat().st_mode & 0o777 for path in store_path.parent.iterdir() if path.name.startswith("gateway.db")}
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
