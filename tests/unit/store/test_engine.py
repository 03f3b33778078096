from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.engine import Database
from gateway.store.migrate import migrate
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

COLUMNS = "authenticators (id, username, name, sealed_secret, last_step, created_at, origin)"
INSERT = f"INSERT INTO {COLUMNS} VALUES ('a', 'alice', '', '', 0, 0, '')"  # noqa: S608 - of this file alone
Open = Callable[[Store], Database]


async def run(database: Database, *statements: str) -> None:
    async with database.write() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM authenticators")).scalar_one())


async def test_a_transaction_is_kept_when_it_ends(database: Database) -> None:
    await run(database, INSERT)
    assert await count(database) == 1


async def test_a_transaction_that_is_broken_off_leaves_nothing(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await run(database, INSERT, "no statement")
    assert await count(database) == 0


async def test_a_transaction_whose_caller_raises_leaves_nothing(database: Database) -> None:
    async def raises() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql(INSERT)
            raise KeyError

    with pytest.raises(KeyError):
        await raises()
    assert await count(database) == 0


async def test_a_transaction_whose_caller_is_cancelled_leaves_nothing_and_no_lock(database: Database) -> None:
    inserted = asyncio.Event()

    async def never_ends() -> None:
        async with database.write("lock") as connection:
            await connection.exec_driver_sql(INSERT)
            inserted.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(never_ends())
    await inserted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write("lock"):
        pass
    assert await count(database) == 0


async def test_what_a_transaction_reads_stays_true_for_all_who_name_its_lock(database: Database) -> None:
    async def add_unless_there() -> None:
        async with database.write("lock") as connection:
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


async def test_a_read_does_not_wait_for_a_writer(open_store: Open, store_settings: Store) -> None:
    async with open_store(store_settings).write("lock") as connection, asyncio.timeout(2):
        await connection.exec_driver_sql(INSERT)
        assert await count(open_store(store_settings)) == 0
        await open_store(store_settings).ping()


async def test_a_snapshot_does_not_see_what_others_write_meanwhile(database: Database) -> None:
    async with database.snapshot() as connection:
        before = (await connection.exec_driver_sql("SELECT count(*) FROM authenticators")).scalar_one()
        await run(database, INSERT)
        after = (await connection.exec_driver_sql("SELECT count(*) FROM authenticators")).scalar_one()
    assert (before, after, await count(database)) == (0, 0, 1)


async def test_a_store_that_answers_passes_the_probe(database: Database) -> None:
    await database.ping()


async def test_a_statement_that_breaks_a_rule_is_a_failure_of_the_store(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await run(database, INSERT, INSERT)


@pytest.mark.parametrize("statement", ["INSERT INTO absent VALUES ('hunter2')", "SELECT hunter2"])
async def test_a_failure_does_not_tell_the_values(database: Database, statement: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await run(database, statement)
    assert "hunter2" not in f"{caught.value}{caught.value.detail}{caught.value.hint}"


async def test_a_text_that_cannot_be_sent_is_a_failure_of_the_store(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="UnicodeEncodeError"):
        await run(database, "SELECT '\udcff'")


async def test_a_store_without_tables_does_not_pass_the_probe(open_store: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(sqlite_store(tmp_path / "empty.db")).ping()


# PostgreSQL that goes away, hangs and comes back.


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        made.create("gateway")
        migrate(made.store("gateway"))
        yield made


@pytest.fixture
async def remote(own_cluster: Cluster, open_store: Open) -> Database:
    """A database on PostgreSQL that is used already and waits for one second."""
    with own_cluster.connect("gateway") as connection:
        connection.execute("DELETE FROM authenticators")
    database = open_store(own_cluster.store("gateway", busy_timeout="1s"))
    await asyncio.gather(*(count(database) for _ in range(8)))
    return database


async def test_after_a_restart_of_postgresql_nobody_notices(own_cluster: Cluster, remote: Database) -> None:
    await asyncio.to_thread(own_cluster.stop)
    await asyncio.to_thread(own_cluster.start)
    assert await count(remote) == 0
    await run(remote, INSERT)
    assert await count(remote) == 1


async def test_after_the_loss_of_postgresql_nobody_notices(own_cluster: Cluster, remote: Database) -> None:
    await asyncio.to_thread(own_cluster.kill)
    await asyncio.to_thread(own_cluster.start)
    await run(remote, INSERT)
    assert await count(remote) == 1


async def test_without_postgresql_all_fail_at_once_and_go_on_when_it_is_back(own_cluster: Cluster, remote: Database) -> None:
    await asyncio.to_thread(own_cluster.stop)
    async with asyncio.timeout(0.9):
        outcomes = await asyncio.gather(*(count(remote) for _ in range(50)), *(run(remote, INSERT) for _ in range(50)), return_exceptions=True)
    await asyncio.to_thread(own_cluster.start)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert await count(remote) == 0


async def test_a_postgresql_that_hangs_is_given_up_in_time_and_used_again_when_it_goes_on(own_cluster: Cluster, remote: Database) -> None:
    loop = asyncio.get_running_loop()
    own_cluster.pause()
    try:
        start = loop.time()
        outcomes = await asyncio.gather(*(count(remote) for _ in range(10)), *(run(remote, INSERT) for _ in range(10)), return_exceptions=True)
        took = loop.time() - start
    finally:
        own_cluster.resume()
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert took < 3
    assert await count(remote) == 0
    await asyncio.gather(*(run(remote, "SELECT 1") for _ in range(8)))


async def test_while_postgresql_hangs_one_finds_out_and_the_others_do_not_wait(own_cluster: Cluster, remote: Database) -> None:
    loop = asyncio.get_running_loop()
    own_cluster.pause()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await count(remote)
        trial = asyncio.create_task(count(remote))
        await asyncio.sleep(0)
        start = loop.time()
        for _ in range(10):
            with pytest.raises(StoreUnavailable, match="has not answered lately"):
                await count(remote)
        took = loop.time() - start
    finally:
        own_cluster.resume()
    await asyncio.wait({trial})
    assert (took < 0.5, trial.exception() is None) == (True, True)


async def test_what_hung_in_the_middle_is_not_kept(own_cluster: Cluster, remote: Database) -> None:
    async def hangs() -> None:
        async with remote.write() as connection:
            await connection.exec_driver_sql(INSERT)
            own_cluster.pause()
            await connection.exec_driver_sql("SELECT 1")

    try:
        with pytest.raises(StoreUnavailable):
            await hangs()
    finally:
        own_cluster.resume()
    assert await count(remote) == 0


async def test_a_lock_is_waited_for_no_longer_than_told(remote: Database) -> None:
    async with remote.write("lock"):
        with pytest.raises(StoreUnavailable, match=r"LockNotAvailable|QueryCanceled"):
            async with remote.write("lock"):
                pass
    async with remote.write("lock"):
        pass


async def test_many_at_once_share_a_few_connections(own_cluster: Cluster, remote: Database) -> None:
    outcomes: list[Any] = await asyncio.gather(*(count(remote) for _ in range(100)))
    with own_cluster.connect("postgres", "postgres") as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slurm-gateway'").fetchone()
    assert (outcomes, row is not None and row[0] <= 4) == ([0] * 100, True)
