from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gateway.config import Store
from gateway.errors import StoreUnavailable, Throttled
from gateway.store.engine import Database
from gateway.store.migrate import migrate
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

COLUMNS = "authenticators (id, username, name, sealed_secret, last_step, created_at, origin)"
INSERT = f"INSERT INTO {COLUMNS} VALUES ('a', 'alice', '', '', 0, 0, '')"  # noqa: S608 - of this file alone
Open = Callable[[Store], Database]


async def run(database: Database, *statements: str, lock: str | None = None) -> None:
    def change(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await database.write(change, lock)


def counted(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM authenticators").scalar_one())


async def count(database: Database) -> int:
    return await database.read(counted)


async def test_a_transaction_is_kept_when_it_ends(database: Database) -> None:
    await run(database, INSERT)
    assert await count(database) == 1


async def test_what_a_function_returns_is_returned(database: Database) -> None:
    assert [await ask(lambda _: "answer") for ask in (database.write, database.read, database.snapshot)] == ["answer"] * 3


async def test_a_transaction_that_is_broken_off_leaves_nothing(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await run(database, INSERT, "no statement")
    assert await count(database) == 0


@pytest.mark.parametrize("error", [KeyError("hunter2"), Throttled("too many"), BaseException("hunter2")])
async def test_what_a_function_raises_is_raised_and_undoes_it(database: Database, error: BaseException) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT)
        raise error

    for ask in (database.write, database.read, database.snapshot):
        with pytest.raises(type(error)) as caught:
            await ask(change if ask == database.write else raises(error))
        assert caught.value is error
    assert await count(database) == 0


def raises(error: BaseException) -> Callable[[Connection], None]:
    def question(_: Connection) -> None:
        raise error

    return question


async def test_a_change_whose_caller_is_cancelled_is_run_to_its_end_and_leaves_no_lock(database: Database) -> None:
    inside, go = threading.Event(), threading.Event()

    def change(connection: Connection) -> None:
        inside.set()
        assert go.wait(10)
        connection.exec_driver_sql(INSERT)

    task = asyncio.create_task(database.write(change, "lock"))
    await asyncio.to_thread(inside.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    await run(database, lock="lock")
    assert await count(database) == 1


async def test_what_a_transaction_reads_stays_true_for_all_who_name_its_lock(database: Database) -> None:
    def add_unless_there(connection: Connection) -> None:
        if counted(connection) == 0:
            connection.exec_driver_sql(INSERT)

    await asyncio.gather(*(database.write(add_unless_there, "lock") for _ in range(20)))
    assert await count(database) == 1


async def test_a_lock_may_be_taken_within_a_transaction(database: Database) -> None:
    def add_unless_there(connection: Connection) -> None:
        database.lock(connection, "lock")
        if counted(connection) == 0:
            connection.exec_driver_sql(INSERT)

    await asyncio.gather(*(database.write(add_unless_there, "lock" if number % 2 else None) for number in range(20)))
    assert await count(database) == 1


async def test_after_reading_a_connection_is_fit_for_transactions(database: Database) -> None:
    for _ in range(8):
        await count(database)
    await run(database, INSERT)
    assert await count(database) == 1


async def test_a_read_does_not_wait_for_a_writer(open_store: Open, store_settings: Store, database: Database) -> None:
    inside, go = threading.Event(), threading.Event()

    def change(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT)
        inside.set()
        assert go.wait(10)

    task = asyncio.create_task(database.write(change, "lock"))
    await asyncio.to_thread(inside.wait, 10)
    async with asyncio.timeout(2):
        assert (await count(open_store(store_settings)), await count(database)) == (0, 0)
    go.set()
    await task
    assert await count(database) == 1


async def test_a_snapshot_does_not_see_what_others_write_meanwhile(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def question(connection: Connection) -> tuple[int, int]:
        before = counted(connection)
        asyncio.run_coroutine_threadsafe(run(database, INSERT), loop).result(5)
        return before, counted(connection)

    assert (await database.snapshot(question), await count(database)) == ((0, 0), 1)


async def test_a_snapshot_is_not_written_into(database: Database) -> None:
    if not database.is_sqlite:
        with pytest.raises(StoreUnavailable):
            await database.snapshot(lambda connection: connection.exec_driver_sql(INSERT))
    assert await count(database) == 0


async def test_closing_finishes_what_was_handed_over(open_store: Open, store_settings: Store, database: Database) -> None:
    other = open_store(store_settings)
    tasks = [asyncio.create_task(run(other, INSERT.replace("'a'", f"'{number}'").replace("alice", str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    await other.close()
    await asyncio.gather(*tasks)
    assert await count(database) == 20


async def test_after_closing_nothing_is_asked_and_closing_again_does_nothing(open_store: Open, store_settings: Store) -> None:
    other = open_store(store_settings)
    await count(other)
    await other.close()
    await other.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await count(other)


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


async def test_a_postgresql_that_hangs_again_and_again_uses_nothing_up(own_cluster: Cluster, remote: Database) -> None:
    for _ in range(2):
        own_cluster.pause()
        try:
            for _ in range(6):
                with pytest.raises(StoreUnavailable):
                    await count(remote)
        finally:
            own_cluster.resume()
        async with asyncio.timeout(2):
            assert await count(remote) == 0
            await asyncio.gather(*(run(remote, "SELECT 1") for _ in range(8)))


async def test_what_hung_in_the_middle_is_not_kept(own_cluster: Cluster, remote: Database) -> None:
    def hangs(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT)
        own_cluster.pause()
        connection.exec_driver_sql("SELECT 1")

    try:
        with pytest.raises(StoreUnavailable):
            await remote.write(hangs)
    finally:
        own_cluster.resume()
    await remote.close()
    with own_cluster.connect("gateway") as connection:
        assert connection.execute("SELECT count(*) FROM authenticators").fetchone() == (0,)


async def test_what_its_caller_has_given_up_is_not_kept(own_cluster: Cluster, remote: Database) -> None:
    go = threading.Event()

    def slow(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT)
        assert go.wait(10)

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await remote.write(slow)
    go.set()
    await remote.close()
    with own_cluster.connect("gateway") as connection:
        assert connection.execute("SELECT count(*) FROM authenticators").fetchone() == (0,)


async def test_a_lock_is_waited_for_no_longer_than_told(own_cluster: Cluster, remote: Database) -> None:
    with own_cluster.connect("gateway") as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('lock', 0))")
        with pytest.raises(StoreUnavailable, match=r"LockNotAvailable|QueryCanceled"):
            await run(remote, INSERT, lock="lock")
    await run(remote, INSERT, lock="lock")
    assert await count(remote) == 1


async def test_many_at_once_share_a_few_connections(remote: Database) -> None:
    def which(connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    used = await asyncio.gather(*(ask(which) for ask in (remote.read, remote.write, remote.snapshot) for _ in range(50)))
    assert len(set(used)) <= 4
