from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, LargeBinary, String, Table, Text, inspect

from gateway.store.engine import Database
from gateway.store.tables import metadata, sessions

CONSTRAINTS = [
    (table, constraint)
    for table in metadata.sorted_tables
    for constraint in sorted((*table.constraints, *table.indexes), key=lambda thing: str(getattr(thing, "name", "")))
]


def inspected(look: Callable[[Connection], object]) -> Callable[[Database], Awaitable[object]]:
    async def asked(database: Database) -> object:
        return await database.read(look)

    return asked


async def test_the_tables_are_what_the_migrations_make(database: Database) -> None:
    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True, "render_as_batch": True})
        return compare_metadata(context, metadata)

    assert await inspected(differences)(database) == []


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
async def test_keys_are_what_the_migrations_make(database: Database, table: Table) -> None:
    def keys(connection: Connection) -> object:
        made = inspect(connection)
        return made.get_pk_constraint(table.name)["constrained_columns"], made.get_foreign_keys(table.name)

    assert await inspected(keys)(database) == ([column.name for column in table.primary_key.columns], [])


@pytest.mark.parametrize(("table", "constraint"), CONSTRAINTS, ids=lambda thing: str(thing.name))
def test_everything_has_a_name_that_a_later_migration_can_find(table: Table, constraint: object) -> None:
    assert table.name in str(getattr(constraint, "name", ""))


def test_a_token_finds_one_session_at_most() -> None:
    assert sessions.c.token_sha256.unique


# What is not known of everybody: whether a code was used and when, whether an authenticator was confirmed or used, what a token was made in.
MAY_BE_ABSENT = {"recovery_codes.used_at", "authenticators.confirmed_at", "authenticators.last_used_at", "sessions.made_in"}
# Lists in JSON, which the gateway bounds by the number and the length of what stands in them.
LISTS = {"sessions.scopes", "sessions.networks", "accounts.groups"}
COLUMNS = [column for table in metadata.sorted_tables for column in table.columns]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_value_is_never_left_out_but_where_there_may_be_none(column: Column[object]) -> None:
    assert column.nullable == (str(column) in MAY_BE_ABSENT)


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_text_is_bounded_and_a_secret_is_bytes(column: Column[object]) -> None:
    if isinstance(column.type, String):
        assert isinstance(column.type, Text) if str(column) in LISTS else column.type.length
    if "secret" in column.name or "sha256" in column.name or "digest" in column.name:
        assert isinstance(column.type, LargeBinary)
