"""What a store of the first shape keeps on its way to the second, over both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store import migrate, postgresql
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.sessions import SessionRow, SessionStore
from tests.postgres import Cluster
from tests.unit.conftest import sqlite_store

BEFORE = (
    "INSERT INTO sessions VALUES ('s', :digest, 'session', 'alice', 1001, 1.0, 9.0, 2.0, 1.5, '192.0.2.7', 'curl')",
    "INSERT INTO authenticators VALUES ('a', 'alice', 'telephone', :sealed, 7, 1.25)",
    "INSERT INTO recovery_codes VALUES (:first, 'a', 'alice', NULL)",
    "INSERT INTO recovery_codes VALUES (:second, 'a', 'alice', 3.0)",
    "INSERT INTO attempts VALUES ('x', 'account', 'alice', 1.0)",
)
VALUES = {"digest": b"\x00\xff" * 16, "sealed": b"1:k1:\x00\xff", "first": b"1" * 32, "second": b"2" * 32}


@pytest.fixture
def store(backend: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of the first shape with something in each table."""
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
    command.upgrade(migrate._alembic(connection), "0001")
    for statement in BEFORE:
        wanted = {name: value for name, value in VALUES.items() if f":{name}" in statement}
        connection.execute(text(statement), wanted)


@pytest.fixture
def newer(store: Store, open_store: Callable[[Store], Database]) -> Database:
    migrate.migrate(store)
    return open_store(store)


async def test_sessions_go_on(newer: Database) -> None:
    assert await SessionStore(newer).find(VALUES["digest"]) == SessionRow(
        id="s",
        token_sha256=VALUES["digest"],
        kind="session",
        username="alice",
        uid=1001,
        created_at=1.0,
        expires_at=9.0,
        last_used_at=2.0,
        second_factor_at=1.5,
        address="192.0.2.7",
        client="curl",
        factor="totp",
        name="",
        scopes=("*",),
        networks=(),
        made_in=None,
    )


async def test_authenticators_count_as_confirmed(newer: Database) -> None:
    assert await AuthenticatorStore(newer).of("alice") == (
        AuthenticatorRow(
            id="a",
            username="alice",
            name="telephone",
            sealed_secret=VALUES["sealed"],
            last_step=7,
            created_at=1.25,
            confirmed_at=1.25,
            last_used_at=None,
            origin="administrator",
        ),
    )


async def test_a_step_that_was_used_up_stays_so(newer: Database) -> None:
    assert not await AuthenticatorStore(newer).claim_step("a", 7, 9.0)


async def test_recovery_codes_keep_their_owner_and_their_use(newer: Database) -> None:
    authenticators = AuthenticatorStore(newer)
    claimed = [await authenticators.claim_recovery_code("alice", VALUES[name], 9.0) for name in ("first", "second")]
    assert claimed == [True, False]


async def test_attempts_are_forgotten(newer: Database) -> None:
    assert await newer.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one()) == 0


async def test_what_is_new_has_no_value_that_is_taken_for_granted(newer: Database) -> None:
    statement = "INSERT INTO sessions SELECT 't', {}, kind, username, uid, created_at, expires_at, last_used_at, second_factor_at, address, client"
    insert = text(statement.format(":digest") + ", NULL, '', '', '', NULL FROM sessions")
    with pytest.raises(StoreUnavailable) as caught:
        await newer.write(lambda connection: connection.execute(insert, {"digest": b"9" * 32}))
    assert isinstance(caught.value.__cause__, IntegrityError)


async def test_one_person_has_no_two_authenticators_of_one_name(newer: Database) -> None:
    twin = AuthenticatorRow(id="b", username="alice", name="telephone", sealed_secret=b"", last_step=0, created_at=1.0, confirmed_at=None, origin="")
    assert await AuthenticatorStore(newer).add(twin, most=9) == "name_taken"
