from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.engine import Database

INSERT = "INSERT INTO authenticators (id, username, name, sealed_secret, last_step, created_at) VALUES ('a', 'alice', '', x'', 0, 0)"
Open = Callable[[Path], Database]


async def run(database: Database, *statements: str) -> None:
    async with database.write() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM authenticators")).scalar_one())


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)],
)
async def test_every_connection_is_set_up(database: Database, pragma: str, value: object) -> None:
    async with database.read() as connection:
        assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value


async def test_a_transaction_is_kept_when_it_ends(database: Database) -> None:
    await run(database, INSERT)
    assert await count(database) == 1


async def test_a_transaction_that_is_broken_off_leaves_nothing(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await run(database, INSERT, "no statement")
    assert await count(database) == 0


async def test_a_transaction_holds_the_writers_lock_from_its_start(database: Database, store_path: Path) -> None:
    async with database.write():
        other = sqlite3.connect(store_path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


async def test_what_a_transaction_reads_stays_true_until_it_is_kept(database: Database) -> None:
    async def add_unless_there() -> None:
        async with database.write() as connection:
            if (await connection.exec_driver_sql("SELECT count(*) FROM authenticators")).scalar_one() == 0:
                await asyncio.sleep(0)
                await connection.exec_driver_sql(INSERT)

    await asyncio.gather(*(add_unless_there() for _ in range(20)))
    assert await count(database) == 1


async def test_after_reading_a_connection_is_fit_for_transactions(database: Database) -> None:
    for _ in range(8):
        await count(database)
    await run(database, INSERT)
    assert await count(database) == 1


async def test_another_writer_is_waited_for_no_longer_than_told(open_store: Open, store_path: Path) -> None:
    other = sqlite3.connect(store_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="OperationalError"):
        async with open_store(store_path).write():
            pass
    other.close()


async def test_a_store_that_answers_passes_the_probe(database: Database) -> None:
    await database.ping()


async def test_a_store_without_tables_does_not(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(tmp_path / "empty.db").ping()


async def test_a_store_that_is_a_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(tmp_path).ping()


async def test_a_store_in_no_folder_is_unavailable(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(tmp_path / "absent" / "gateway.db").ping()


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_store_that_is_corrupt_is_unavailable(open_store: Open, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrupt.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        await open_store(path).ping()


async def test_a_store_that_turns_corrupt_is_unavailable(database: Database, store_path: Path) -> None:
    await count(database)
    with store_path.open("r+b") as file:
        file.write(b"\0" * 65536)
    with pytest.raises(StoreUnavailable):
        await run(database, INSERT)


async def test_a_store_that_cannot_be_written_to_is_unavailable(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await run(database, "PRAGMA query_only=ON", INSERT)


async def test_a_statement_that_breaks_a_rule_is_a_failure_of_the_store(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="IntegrityError"):
        await run(database, INSERT, INSERT)


async def test_a_failure_does_not_tell_the_values(database: Database) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        async with database.write() as connection:
            await connection.exec_driver_sql("INSERT INTO absent VALUES (?)", ("hunter2",))
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.detail}"


async def test_nothing_is_opened_before_it_is_needed(open_store: Open, tmp_path: Path) -> None:
    open_store(tmp_path / "gateway.db")
    assert not any(os.scandir(tmp_path))


async def test_the_files_beside_the_store_are_its_owners_alone(database: Database, store_path: Path) -> None:
    before = os.umask(0)
    try:
        async with database.write() as connection:
            await connection.exec_driver_sql(INSERT)
        modes = {path.name: path.stat().st_mode & 0o777 for path in store_path.parent.iterdir() if path.name.startswith("gateway.db")}
    finally:
        os.umask(before)
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}


async def test_a_read_does_not_wait_for_a_writer(open_store: Open, store_path: Path, database: Database) -> None:
    async with database.write():
        async with asyncio.timeout(1):
            assert await count(open_store(store_path)) == 0
            await open_store(store_path).ping()
