from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.migrate import home, migrate, newest_revision, shape_problem
from gateway.store.sqlite import database_path, is_sqlite
from gateway.store.tables import metadata
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

OWNER = 54321


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def fresh(backend: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with nothing in it, not even tables."""
    if backend == "sqlite":
        yield sqlite_store(request.getfixturevalue("path"))
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.create("fresh")
    yield cluster.store("fresh")
    cluster.drop("fresh")


@pytest.fixture
def ask(fresh: Store, request: pytest.FixtureRequest) -> Callable[[str], list[tuple[object, ...]]]:
    """Puts a statement to the store behind the gateway's back."""

    def asked(statement: str) -> list[tuple[object, ...]]:
        if is_sqlite(fresh.url):
            return query(database_path(fresh.url), statement)
        with request.getfixturevalue("cluster").connect("fresh") as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return asked


Ask = Callable[[str], list[tuple[object, ...]]]


def test_a_store_is_made_in_the_newest_shape(fresh: Store, ask: Ask) -> None:
    migrate(fresh)
    assert ask("SELECT version_num FROM alembic_version") == [(newest_revision(),)]
    assert [ask(f"SELECT count(*) FROM {table.name}") for table in metadata.sorted_tables] == [[(0,)]] * len(metadata.sorted_tables)  # noqa: S608 - names of ours


def test_a_store_in_its_newest_shape_is_left_as_it_is(fresh: Store, ask: Ask) -> None:
    migrate(fresh)
    ask("INSERT INTO attempts VALUES ('a', 'account', 'alice', 1.0)")
    migrate(fresh)
    assert ask("SELECT attempt, scope, key, at FROM attempts") == [("a", "account", "alice", 1.0)]


def test_several_commands_and_nodes_may_try_at_once(fresh: Store, ask: Ask) -> None:
    failures: list[Exception] = []

    def try_it() -> None:
        try:
            migrate(fresh)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ask("SELECT version_num FROM alembic_version") == [(newest_revision(),)]


def test_a_store_that_a_newer_gateway_has_shaped_is_refused_and_left_as_it_is(fresh: Store, ask: Ask) -> None:
    migrate(fresh)
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="9999"):
        migrate(fresh)
    assert ask("SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_migration_that_fails_leaves_nothing_behind(fresh: Store, ask: Ask) -> None:
    ask("CREATE TABLE recovery_codes (mine INTEGER)")
    with pytest.raises(StoreUnavailable, match="already exists"):
        migrate(fresh)
    assert ask("SELECT * FROM recovery_codes") == []
    with pytest.raises((sqlite3.OperationalError, psycopg.Error), match="sessions"):
        ask("SELECT * FROM sessions")


def test_nothing_is_wrong_with_the_shape_of_an_empty_store(fresh: Store) -> None:
    assert shape_problem(fresh) is None


@pytest.mark.parametrize("statement", ["SELECT 1", "DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_nothing_is_wrong_with_a_shape_that_is_known(fresh: Store, ask: Ask, statement: str) -> None:
    migrate(fresh)
    ask(statement)
    assert shape_problem(fresh) is None


def test_a_shape_from_the_future_is_a_problem(fresh: Store, ask: Ask) -> None:
    migrate(fresh)
    ask("UPDATE alembic_version SET version_num = '9999'")
    problem = shape_problem(fresh)
    assert problem is not None
    assert "newer slurm-gateway" in problem


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_files_are_their_owners_alone(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        migrate(sqlite_store(path))
    finally:
        os.umask(before)
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {"gateway.db": 0o600, "gateway.db.lock": 0o600}


@pytest.mark.parametrize("owner", [OWNER, OWNER + 1])
def test_what_root_makes_belongs_to_the_folders_owner(path: Path, monkeypatch: pytest.MonkeyPatch, owner: int) -> None:
    given: list[tuple[str, int]] = []
    if os.geteuid() == 0:
        os.chown(path.parent, owner, owner)
        migrate(sqlite_store(path))
        given = [(file.name, file.stat().st_uid) for file in sorted(path.parent.iterdir())]
        os.chown(path.parent, 0, 0)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        migrate(sqlite_store(path))
        given = [(file.name, file.stat().st_uid) for file in sorted(path.parent.iterdir())]
    assert given == [("gateway.db", owner), ("gateway.db.lock", owner)]


@pytest.mark.parametrize("by_root", [True, False])
@pytest.mark.parametrize("kind", ["soft", "soft to nothing", "hard"])
@pytest.mark.parametrize("name", ["gateway.db", "gateway.db.lock"])
def test_a_link_is_refused_and_where_it_leads_left_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, by_root: bool) -> None:
    target = path.with_name("precious")
    if kind != "soft to nothing":
        target.write_bytes(b"")
        target.chmod(0o644)
    (path.with_name(name).hardlink_to if kind == "hard" else path.with_name(name).symlink_to)(target)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if by_root else OWNER)
    with pytest.raises(StoreUnavailable):
        migrate(sqlite_store(path))
    if kind == "soft to nothing":
        assert not target.exists()
    else:
        assert (target.read_bytes(), target.stat().st_mode & 0o777, target.stat().st_uid) == (b"", 0o644, path.parent.stat().st_uid)


@pytest.mark.parametrize("by_root", [True, False])
def test_a_store_that_others_could_read_becomes_its_owners_alone(path: Path, monkeypatch: pytest.MonkeyPatch, by_root: bool) -> None:
    migrate(sqlite_store(path))
    files = [path, path.with_name("gateway.db.lock")]
    for file in files:
        file.chmod(0o644)
        if os.geteuid() == 0 and not by_root:
            os.chown(file, OWNER, OWNER)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 0 if by_root else owner)
    migrate(sqlite_store(path))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 2


def test_a_new_store_keeps_a_log_before_anybody_opens_it(path: Path) -> None:
    """Two who turned it on at once would fail on each other's locks, for which SQLite does not wait."""
    migrate(sqlite_store(path))
    assert path.read_bytes()[18:20] == b"\x02\x02"  # https://www.sqlite.org/fileformat.html section 1.3.3


AT_ONCE = """
import asyncio, os, sys, traceback
from gateway.config import Store
from gateway.store.engine import open_database
from gateway.store.migrate import migrate

async def write(store):
    database = open_database(store)
    statement = "INSERT INTO attempts VALUES (?, 'account', 'alice', 1.0)"
    await database.write(lambda connection: connection.exec_driver_sql(statement, (str(os.getpid()),)))
    await database.close()

def start(url, go):
    store = Store.model_validate({"url": url, "key_ring_file": "/nowhere/ring", "busy_timeout": "10s"})
    child = os.fork()
    if child:
        return child
    try:
        os.close(go[1])
        os.read(go[0], 1)
        migrate(store)
        asyncio.run(write(store))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

for number in range(4):
    go = os.pipe()
    children = [start(f"sqlite:///{sys.argv[1]}/{number}.db", go) for _ in range(3)]
    os.close(go[1])
    for child in children:
        os.waitpid(child, 0)
    os.close(go[0])
"""


def test_processes_that_make_open_and_write_at_once_do_not_fail(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert [query(tmp_path / f"{number}.db", "SELECT count(*) FROM attempts") for number in range(4)] == [[(3,)]] * 4


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        migrate(sqlite_store(path))
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnavailable, match="Is a directory"):
        migrate(sqlite_store(path))


def test_a_store_in_no_folder_is_refused(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        migrate(sqlite_store(path / "gateway.db"))


def test_where_there_is_no_store_nothing_is_wrong_with_its_shape(path: Path) -> None:
    assert shape_problem(sqlite_store(path)) is None
    assert not path.exists()


def test_what_is_no_store_is_a_problem(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 100)
    assert shape_problem(sqlite_store(path)) == f"{path} cannot be opened as a store: DatabaseError"


def test_a_folder_in_its_place_is_a_problem(path: Path) -> None:
    path.mkdir()
    assert shape_problem(sqlite_store(path)) == f"{path} cannot be opened as a store: OperationalError"


@pytest.mark.parametrize(
    ("url", "folder"),
    [("sqlite:////var/lib/gateway/gateway.db", "/var/lib/gateway"), ("postgresql://gateway@db.example.org/gateway", "/etc/gateway")],
)
def test_the_gateways_home_is_where_its_files_are(url: str, folder: str) -> None:
    assert home(Store.model_validate({"url": url, "key_ring_file": "/etc/gateway/ring"})) == Path(folder)


# What can be wrong with a server.


def test_a_server_that_is_not_there_is_a_problem_at_once() -> None:
    store = Store.model_validate({"url": "postgresql://gateway@127.0.0.1:1/gateway", "key_ring_file": "/nowhere/ring"})
    problem = shape_problem(store)
    assert problem is not None
    assert re.match(r"the database cannot be used: .*Connection refused", problem)


def test_a_database_that_is_not_there_is_a_problem(cluster: Cluster) -> None:
    assert re.match(r'the database cannot be used: .*database "absent" does not exist', shape_problem(cluster.store("absent")) or "")


def test_a_user_who_is_not_there_is_a_problem(cluster: Cluster) -> None:
    store = cluster.store("postgres")
    problem = shape_problem(store.model_copy(update={"url": store.url.replace("gateway@", "nobody@")}))
    assert re.match(r'the database cannot be used: .*role "nobody" does not exist', problem or "")


def test_a_user_who_may_not_make_tables_is_a_problem_and_told_so_by_migrate(cluster: Cluster) -> None:
    assert "may not create tables" in (shape_problem(cluster.store("postgres")) or "")
    with pytest.raises(StoreUnavailable, match="permission denied for schema public"):
        migrate(cluster.store("postgres"))


def test_a_password_file_that_cannot_be_read_is_told_elsewhere(cluster: Cluster) -> None:
    assert shape_problem(cluster.store("postgres", password_file="/nowhere/password")) is None


def test_a_server_that_hangs_is_a_problem_in_time() -> None:
    with Cluster() as hanging:
        hanging.pause()
        start = time.monotonic()
        problem = shape_problem(hanging.store("postgres", busy_timeout="500ms"))
        took = time.monotonic() - start
    assert (problem, took < 5) == ("the database cannot be used: it does not answer", True)
