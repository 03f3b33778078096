from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.migrate import database_path, migrate, shape_problem

OWNER = 54321


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


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
    assert database_path(url) == Path(name)


def test_a_store_is_made_where_there_is_none(path: Path) -> None:
    migrate(url_of(path))
    assert {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")} == {
        "alembic_version",
        "attempts",
        "authenticators",
        "recovery_codes",
        "sessions",
    }


def test_a_store_knows_its_shape(path: Path) -> None:
    migrate(url_of(path))
    assert query(path, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_a_store_in_its_newest_shape_is_left_as_it_is(path: Path) -> None:
    migrate(url_of(path))
    query(path, "INSERT INTO attempts VALUES ('a', 'account', 'alice', 1.0)")
    migrate(url_of(path))
    assert query(path, "SELECT attempt, scope, key, at FROM attempts") == [("a", "account", "alice", 1.0)]


def test_several_commands_may_try_at_once(path: Path) -> None:
    failures: list[Exception] = []

    def try_it() -> None:
        try:
            migrate(url_of(path))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query(path, "SELECT version_num FROM alembic_version") == [("0001",)]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_files_are_their_owners_alone(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        migrate(url_of(path))
    finally:
        os.umask(before)
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {"gateway.db": 0o600, "gateway.db.lock": 0o600}


@pytest.mark.parametrize("owner", [OWNER, OWNER + 1])
def test_what_root_makes_belongs_to_the_folders_owner(path: Path, monkeypatch: pytest.MonkeyPatch, owner: int) -> None:
    given: list[tuple[str, int]] = []
    if os.geteuid() == 0:
        os.chown(path.parent, owner, owner)
        migrate(url_of(path))
        given = [(file.name, file.stat().st_uid) for file in sorted(path.parent.iterdir())]
        os.chown(path.parent, 0, 0)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        migrate(url_of(path))
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
        migrate(url_of(path))
    if kind == "soft to nothing":
        assert not target.exists()
    else:
        assert (target.read_bytes(), target.stat().st_mode & 0o777, target.stat().st_uid) == (b"", 0o644, path.parent.stat().st_uid)


@pytest.mark.parametrize("by_root", [True, False])
def test_a_store_that_others_could_read_becomes_its_owners_alone(path: Path, monkeypatch: pytest.MonkeyPatch, by_root: bool) -> None:
    migrate(url_of(path))
    files = [path, path.with_name("gateway.db.lock")]
    for file in files:
        file.chmod(0o644)
        if os.geteuid() == 0 and not by_root:
            os.chown(file, OWNER, OWNER)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 0 if by_root else owner)
    migrate(url_of(path))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 2


def test_a_new_store_keeps_a_log_before_anybody_opens_it(path: Path) -> None:
    """Two who turned it on at once would fail on each other's locks, for which SQLite does not wait."""
    migrate(url_of(path))
    assert path.read_bytes()[18:20] == b"\x02\x02"  # https://www.sqlite.org/fileformat.html section 1.3.3


AT_ONCE = """
import asyncio, os, sys, traceback
from gateway.store.engine import open_database
from gateway.store.migrate import migrate

async def write(url):
    database = open_database(url, 10.0)
    async with database.write() as connection:
        await connection.exec_driver_sql("INSERT INTO attempts VALUES (?, 'account', 'alice', 1.0)", (str(os.getpid()),))
    await database.close()

def start(url, go):
    child = os.fork()
    if child:
        return child
    try:
        os.close(go[1])
        os.read(go[0], 1)
        migrate(url)
        asyncio.run(write(url))
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


def test_a_store_that_a_newer_gateway_has_shaped_is_refused_and_left_as_it_is(path: Path) -> None:
    migrate(url_of(path))
    query(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="9999"):
        migrate(url_of(path))
    assert query(path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_migration_that_fails_leaves_nothing_behind(path: Path) -> None:
    query(path, "CREATE TABLE attempts (mine)")
    with pytest.raises(StoreUnavailable, match="already exists"):
        migrate(url_of(path))
    assert query(path, "SELECT name FROM sqlite_master") == [("attempts",)]


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        migrate(url_of(path))
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnavailable, match="Is a directory"):
        migrate(url_of(path))


def test_a_store_in_no_folder_is_refused(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        migrate(url_of(path / "gateway.db"))


def test_where_there_is_no_store_nothing_is_wrong_with_its_shape(path: Path) -> None:
    assert shape_problem(url_of(path)) is None
    assert not path.exists()


@pytest.mark.parametrize("statement", ["SELECT 1", "DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_nothing_is_wrong_with_a_shape_that_is_known(path: Path, statement: str) -> None:
    migrate(url_of(path))
    query(path, statement)
    assert shape_problem(url_of(path)) is None


def test_a_shape_from_the_future_is_a_problem(path: Path) -> None:
    migrate(url_of(path))
    query(path, "UPDATE alembic_version SET version_num = '9999'")
    problem = shape_problem(url_of(path))
    assert problem is not None
    assert "newer slurm-gateway" in problem


def test_what_is_no_store_is_a_problem(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 100)
    assert shape_problem(url_of(path)) == "cannot be opened as a store: DatabaseError"


def test_a_folder_in_its_place_is_a_problem(path: Path) -> None:
    path.mkdir()
    assert shape_problem(url_of(path)) == "cannot be opened as a store: OperationalError"
