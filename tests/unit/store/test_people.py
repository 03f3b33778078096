from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.store.accounts import AccountRow, AccountStore
from gateway.store.attempts import AttemptStore, Limit
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.people import PeopleStore, Person
from gateway.store.sessions import SessionRow, SessionStore

NOW, IDLE = 1_700_000_000.0, 3600.0
SESSION = SessionRow(
    id="s1",
    token_sha256=b"1" * 32,
    kind="session",
    username="alice",
    uid=2001,
    created_at=NOW,
    expires_at=NOW + 7200,
    last_used_at=NOW,
    second_factor_at=NOW,
    address="192.0.2.7",
    client="",
    factor="totp",
)
AUTHENTICATOR = AuthenticatorRow(
    id="a1", username="bob", name="phone", sealed_secret=b"x", last_step=0, created_at=NOW, confirmed_at=NOW, origin="administrator"
)


@pytest.fixture
async def people(database: Database) -> PeopleStore:
    return PeopleStore(database)


async def test_nobody_is_known_to_an_empty_store(people: PeopleStore) -> None:
    assert await people.everybody(NOW, IDLE) == ()


async def test_everybody_is_counted_by_what_they_have(database: Database, people: PeopleStore) -> None:
    sessions, authenticators = SessionStore(database), AuthenticatorStore(database)
    for number, kind in enumerate(("session", "session", "token", "enrolment")):
        await sessions.add(replace(SESSION, id=f"s{number}", token_sha256=bytes([number]) * 32, kind=kind))
    await authenticators.add(AUTHENTICATOR, (b"c" * 32, b"d" * 32), most=5)
    await authenticators.claim_recovery_code("bob", b"c" * 32, NOW)
    await authenticators.add(replace(AUTHENTICATOR, id="a2", name="tablet", confirmed_at=None), most=5)
    await AccountStore(database).keep(AccountRow(username="carol", uid=2003, groups=frozenset(), checked_at=NOW))
    assert await people.everybody(NOW, IDLE) == (
        Person(username="alice", authenticators=0, recovery_codes=0, sessions=2, tokens=1),
        Person(username="bob", authenticators=1, recovery_codes=1, sessions=0, tokens=0),
        Person(username="carol", authenticators=0, recovery_codes=0, sessions=0, tokens=0),
    )


@pytest.mark.parametrize(("kind", "at", "counted"), [("session", IDLE, 0), ("token", IDLE, 1), ("token", 7200.0, 0)])
async def test_what_is_over_is_not_counted(database: Database, people: PeopleStore, kind: str, at: float, counted: int) -> None:
    await SessionStore(database).add(replace(SESSION, kind=kind))
    everybody = await people.everybody(NOW + at, IDLE)
    assert sum(person.sessions + person.tokens for person in everybody) == counted


async def test_a_failure_counts_once_however_many_limits_it_stands_against(database: Database, people: PeopleStore) -> None:
    attempts = AttemptStore(database)
    for number in range(3):
        limits = [
            Limit(scope=scope, key=key, allowed=9, window=300.0) for scope, key in (("account", "al%ce"), ("account_address", "al%ce|192.0.2.7"))
        ]
        await attempts.reserve(f"a{number}", limits, NOW)
    assert await people.failures((("account", "al%ce"), ("account_address", "al%ce|"))) == 3
    assert await people.failures((("account", "alice"), ("account_address", "alice|"), ("account_address", "al%c|"))) == 0


async def test_the_keys_that_begin_so_are_told_once_each_and_so_many_at_most(database: Database, people: PeopleStore) -> None:
    attempts = AttemptStore(database)
    for number in range(6):
        limit = Limit(scope="account_address", key=f"al%ce|192.0.2.{number % 3}", allowed=9, window=300.0)
        await attempts.reserve(f"a{number}", [limit], NOW)
    assert await people.keys_under("account_address", "al%ce|", 9) == tuple(f"al%ce|192.0.2.{number}" for number in range(3))
    assert await people.keys_under("account_address", "al%ce|", 2) == ("al%ce|192.0.2.0", "al%ce|192.0.2.1")
    assert await people.keys_under("account_address", "al", 9) == await people.keys_under("account_address", "al%", 9)
    assert await people.keys_under("account_address", "alice|", 9) == ()
