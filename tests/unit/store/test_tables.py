from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, LargeBinary, String, Table, create_engine, inspect

from gateway.store.tables import metadata, sessions

CONSTRAINTS = [
    (table, constraint)
    for table in metadata.sorted_tables
    for constraint in sorted((*table.constraints, *table.indexes), key=lambda thing: str(getattr(thing, "name", "")))
]


def test_the_tables_are_what_the_migrations_make(store_path: Path) -> None:
    engine = create_engine(f"sqlite:///{store_path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_primary_and_foreign_keys_are_what_the_migrations_make(store_path: Path, table: Table) -> None:
    engine = create_engine(f"sqlite:///{store_path}")
    made = inspect(engine)
    assert made.get_pk_constraint(table.name)["constrained_columns"] == [column.name for column in table.primary_key.columns]
    assert [(key["referred_table"], key["options"]) for key in made.get_foreign_keys(table.name)] == [
        (key.column.table.name, {"ondelete": key.ondelete}) for key in table.foreign_keys
    ]
    engine.dispose()


@pytest.mark.parametrize(("table", "constraint"), CONSTRAINTS, ids=lambda thing: str(thing.name))
def test_everything_has_a_name_that_a_later_migration_can_find(table: Table, constraint: object) -> None:
    assert table.name in str(getattr(constraint, "name", ""))


def test_a_token_finds_one_session_at_most() -> None:
    assert sessions.c.token_sha256.unique


@pytest.mark.parametrize("column", [column for table in metadata.sorted_tables for column in table.columns if column.name != "used_at"], ids=str)
def test_a_value_is_never_left_out(column: Column[object]) -> None:
    assert not column.nullable


@pytest.mark.parametrize("column", [column for table in metadata.sorted_tables for column in table.columns], ids=str)
def test_a_text_is_bounded_and_a_secret_is_bytes(column: Column[object]) -> None:
    if isinstance(column.type, String):
        assert column.type.length
    if "secret" in column.name or "sha256" in column.name:
        assert isinstance(column.type, LargeBinary)
