"""Bringing the store to the newest shape, under a lock, so that several commands may try at once."""

from __future__ import annotations

import fcntl
import os
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
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _give_to_owner_of(path.parent, path, path.with_name(path.name + ".lock"))
            with _engine(url).begin() as connection:
                command.upgrade(_alembic(connection), "head")
        finally:
            os.close(lock)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    except (SQLAlchemyError, AlembicError) as error:
        raise StoreUnavailable(f"{path}: {str(error).splitlines()[0]}") from error


def _give_to_owner_of(folder: Path, *files: Path) -> None:
    """Let root's commands not lock the gateway's own user out of a store that they were the first to open."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for file in files:
            os.chown(file, owner.st_uid, owner.st_gid)


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
