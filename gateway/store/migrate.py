"""Bringing the store to the newest shape, under a lock, so that several commands may try at once."""

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
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from gateway.errors import StoreUnavailable

_PATIENCE = 10.0  # seconds that another command may keep the file
_LOCATION = Path(__file__).parent / "migrations"


def database_path(url: str) -> Path:
    """Return the file that ``sqlite:////path`` names."""
    return Path(make_url(url).database or "")


def _engine(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig(attributes={"connection": connection})
    config.set_main_option("script_location", str(_LOCATION))
    return config


def migrate(url: str) -> None:
    """Create the database if need be (mode 0600) and bring it to the newest shape; raise StoreUnavailable when that fails.

    A database that a newer gateway has shaped is refused and left as it is.
    """
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


def shape_problem(url: str) -> str | None:
    """Return what is wrong with the shape of an existing store, or None when ``serve`` could use or bring up to date what is there."""
    if not database_path(url).exists():
        return None
    try:
        with _engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        return f"cannot be opened as a store: {type(error).__name__}"
    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if current is not None and current not in known:
        return "was shaped by a newer slurm-gateway: install that one, or restore a backup"
    return None
