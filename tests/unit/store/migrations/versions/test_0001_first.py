from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import IntegrityError

from gateway.store import migrate

ATTEMPT = "INSERT INTO attempts VALUES ('a', 'account', 'alice', 1.0)"
AUTHENTICATOR = "INSERT INTO authenticators VALUES ('a', 'alice', 'telephone', x'00', 0, 1.0)"
CODE = "INSERT INTO recovery_codes VALUES (x'00', 'a', 'alice', NULL)"
SESSION = "INSERT INTO sessions VALUES ('{id}', x'{digest}', 'session', 'alice', 1001, 1.0, 2.0, 1.0, 1.0, '', '')"


@pytest.fixture(scope="module")
def script() -> Script:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config).get_revision("0001")


@pytest.fixture
def connection(script: Script) -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        with Operations.context(MigrationContext.configure(connection)):
            script.module.upgrade()
        yield connection
    engine.dispose()


def test_it_is_the_first(script: Script) -> None:
    assert script.down_revision is None


def test_it_makes_the_tables(connection: Connection) -> None:
    assert set(inspect(connection).get_table_names()) == {"attempts", "authenticators", "recovery_codes", "sessions"}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("sessions", {("expires_at",), ("username",)}),
        ("authenticators", {("username",)}),
        ("recovery_codes", {("authenticator_id",)}),
        ("attempts", {("scope", "key", "at"), ("at",)}),
    ],
)
def test_what_is_searched_for_has_an_index(connection: Connection, table: str, columns: set[tuple[str, ...]]) -> None:
    assert {tuple(index["column_names"]) for index in inspect(connection).get_indexes(table)} == columns


@pytest.mark.parametrize(
    "statements",
    [
        [ATTEMPT, ATTEMPT],
        [AUTHENTICATOR, AUTHENTICATOR],
        [CODE],
        [AUTHENTICATOR, CODE, CODE],
        [SESSION.format(id="a", digest="00"), SESSION.format(id="a", digest="01")],
        [SESSION.format(id="a", digest="00"), SESSION.format(id="b", digest="00")],
        [SESSION.format(id="a", digest="00").replace("'alice'", "NULL")],
    ],
    ids=["attempt twice", "authenticator twice", "code of nobody", "code twice", "session twice", "token twice", "session of nobody"],
)
def test_what_must_not_be_kept_cannot_be(connection: Connection, statements: list[str]) -> None:
    for statement in statements[:-1]:
        connection.exec_driver_sql(statement)
    with pytest.raises(IntegrityError):
        connection.exec_driver_sql(statements[-1])
