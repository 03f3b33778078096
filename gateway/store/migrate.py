"""Bringing the store to the newest shape, under a lock, so that several commands and nodes may try at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError as AlembicError
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from gateway.config import SecretFileError, Store
from gateway.errors import StoreUnavailable
from gateway.store import postgresql
from gateway.store.failures import FOREIGN, explanation
from gateway.store.sqlite import database_path, is_sqlite

_PATIENCE = 10.0  # seconds that another command may keep the file
_LONGEST = 600.0  # seconds that a migration on PostgreSQL may take, that of another node which is waited for included
_LOCATION = Path(__file__).parent / "migrations"


def home(store: Store) -> Path:
    """Return the folder whose owner is the gateway's user: the database's own, or, with PostgreSQL, the key ring's."""
    return (database_path(store.url) if is_sqlite(store.url) else store.key_ring_file).parent


def _engine(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig(attributes={"connection": connection})
    config.set_main_option("script_location", str(_LOCATION))
    return config


def migrate(store: Store) -> None:
    """Create what is missing (a file with mode 0600) and bring the store to the newest shape; raise StoreUnavailable when that fails.

    A store that a newer gateway has shaped is refused and left as it is. Not to be called where an event loop runs.
    """
    if is_sqlite(store.url):
        _migrate_file(store.url)
    else:
        _migrate_server(store)


def _migrate_file(url: str) -> None:
    path = database_path(url)
    try:
        lock = _open_own(path.with_name(path.name + ".lock"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.close(_open_own(path))
            _keep_a_log(path)
            with _engine(url).begin() as connection:
                command.upgrade(_alembic(connection), "head")
        finally:
            os.close(lock)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    except (SQLAlchemyError, AlembicError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{path}: {str(error).splitlines()[0]}") from error


def _migrate_server(store: Store) -> None:
    engine = postgresql.engine(store, _LONGEST)
    try:
        with engine.begin() as connection:
            postgresql.lock(connection, "migrations")
            command.upgrade(_alembic(connection), "head")
    except (*FOREIGN, AlembicError) as error:
        raise StoreUnavailable(f"the database: {explanation(error)}") from error
    finally:
        engine.dispose()


def _keep_a_log(path: Path) -> None:
    """Turn the write-ahead log on, which stays on; done here because two who do it at once would fail on each other's locks."""
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _open_own(path: Path) -> int:
    """Open a file of the store, made if need be, with mode 0600 and the owner of its folder; return the descriptor.

    What is no plain file of its own, but a link to another, is refused: the folder's owner must not lead root, who may serve too, anywhere.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, "is not a plain file with one name")
    if os.geteuid() in {0, status.st_uid}:
        os.fchmod(descriptor, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def shape_problem(store: Store) -> str | None:
    """Return what is wrong with the store that is there, or None when ``serve`` could use it, make it or bring it up to date.

    Not to be called where an event loop runs.
    """
    if is_sqlite(store.url):
        return _file_problem(store.url)
    return _server_problem(store)


def _file_problem(url: str) -> str | None:
    path = database_path(url)
    if not path.exists():
        return None
    try:
        with _engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            current = _revision(connection)
    except SQLAlchemyError as error:
        return f"{path} cannot be opened as a store: {type(error).__name__}"
    return None if _is_known(current) else f"{path} {_FROM_THE_FUTURE}"


def _server_problem(store: Store) -> str | None:
    engine = postgresql.engine(store, store.busy_timeout)
    may_create = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    try:
        with engine.connect() as connection:
            current, creates = _revision(connection), connection.execute(may_create).scalar_one()
    except SecretFileError:
        # What is wrong with the file of the password is said where it is named.
        return None
    except FOREIGN as error:
        return f"the database cannot be used: {explanation(error)}"
    finally:
        engine.dispose()
    if not _is_known(current):
        return f"the database {_FROM_THE_FUTURE}"
    if not creates:
        return "the gateway's user may not create tables in the database: make it the database's owner"
    return None


_FROM_THE_FUTURE = "was shaped by a newer slurm-gateway: install that one, or restore a backup"


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """Return the shape that this gateway knows and ``migrate`` makes."""
    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


def _is_known(revision: str | None) -> bool:
    return revision is None or revision in {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
