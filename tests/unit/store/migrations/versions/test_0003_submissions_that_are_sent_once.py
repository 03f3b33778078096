"""A store of the second shape keeps what it has on its way to the third, over both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from alembic import command
from sqlalchemy import Connection, text

from gateway.config import Store
from gateway.store import migrate, postgresql
from gateway.store.engine import Database
from gateway.store.spent import SpentStore
from gateway.store.submissions import SubmissionRow, SubmissionStore
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

ROW = SubmissionRow(
    username="alice", cluster="demo", key_sha256=b"k" * 32, attempt="a", request_sha256=b"r" * 32, mark="", created_at=1.0, held_until=2.0
)


@pytest.fixture
def store(backend: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of the second shape with something in it."""
    if backend == "sqlite":
        made = sqlite_store(request.getfixturevalue("tmp_path") / "gateway.db")
        with migrate._engine(made.url).begin() as connection:
            _fill(connection)
        yield made
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.create("older")
    engine = postgresql.engine(cluster.store("older"), 5.0)
    with engine.begin() as connection:
        _fill(connection)
    engine.dispose()
    yield cluster.store("older")
    cluster.drop("older")


def _fill(connection: Connection) -> None:
    command.upgrade(migrate._alembic(connection), "0002")
    connection.execute(text("INSERT INTO spent VALUES ('munge', :digest, 9.0)"), {"digest": b"d" * 32})


async def test_what_is_there_stays_and_keys_can_be_claimed(store: Store, open_store: Callable[[Store], Database]) -> None:
    migrate.migrate(store)
    newer = open_store(store)
    assert await SpentStore(newer).is_spent("munge", b"d" * 32, 5.0)
    assert await SubmissionStore(newer).claim(ROW, forget_before=0.0, most=1) == ROW
