from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from gateway.store import migrate
from gateway.store.tables import metadata

LOCATION = Path(migrate.__file__).parent / "migrations"


def config(connection: object) -> Config:
    made = Config(attributes={"connection": connection})
    made.set_main_option("script_location", str(LOCATION))
    return made


def test_migrations_run_on_the_connection_that_they_are_given() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        command.upgrade(config(connection), "head")
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_migrations_leave_it_to_the_caller_to_keep_what_they_did(tmp_path: Path) -> None:
    engine = migrate._engine(f"sqlite:///{tmp_path}/gateway.db")
    with engine.connect() as connection, connection.begin() as transaction:
        command.upgrade(config(connection), "head")
        transaction.rollback()
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_there_is_nothing_left_to_migrate_once_they_have_run() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        command.upgrade(config(connection), "head")
        command.check(config(connection))
    engine.dispose()


def test_without_a_connection_nothing_runs() -> None:
    made = Config()
    made.set_main_option("script_location", str(LOCATION))
    with pytest.raises(KeyError, match="connection"):
        command.upgrade(made, "head")
