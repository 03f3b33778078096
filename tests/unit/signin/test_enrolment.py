from __future__ import annotations

import asyncio
import urllib.parse

import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Totp
from gateway.signin.enrolment import Enrolled, disenrol, enrol
from gateway.signin.factor import NotEnrolled, Proved, TotpFactor
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.sealing import KeyRing
from gateway.store.sessions import SessionRow, SessionStore

NOW = 1_700_000_010.0
RING = KeyRing("k1", {"k1": AESGCM(b"1" * 32)})


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    return AuthenticatorStore(database)


@pytest.fixture
async def sessions(database: Database) -> SessionStore:
    return SessionStore(database)


async def enrolled(store: AuthenticatorStore, username: str = "alice") -> Enrolled:
    made = await enrol(store, RING, username=username, issuer="HPC", now=NOW)
    assert made is not None
    return made


async def test_the_code_of_a_new_authenticator_proves(store: AuthenticatorStore) -> None:
    made = await enrolled(store)
    assert await TotpFactor(store, RING, Totp()).verify("alice", pyotp.TOTP(made.secret).at(int(NOW)), NOW) == Proved("totp")


async def test_each_of_the_ten_recovery_codes_proves(store: AuthenticatorStore) -> None:
    factor = TotpFactor(store, RING, Totp())
    outcomes = [await factor.verify("alice", code, NOW) for code in (await enrolled(store)).recovery_codes]
    assert outcomes == [Proved("recovery_code")] * 10


async def test_the_address_for_the_app_holds_the_secret_and_the_name(store: AuthenticatorStore) -> None:
    made = await enrolled(store)
    parts = urllib.parse.urlsplit(made.otpauth_uri)
    assert (parts.path, urllib.parse.parse_qs(parts.query)["secret"]) == ("/HPC:alice", [made.secret])


async def test_somebody_who_has_an_authenticator_gets_no_other(store: AuthenticatorStore) -> None:
    await enrolled(store)
    assert await enrol(store, RING, username="alice", issuer="HPC", now=NOW) is None


async def test_of_two_administrators_at_once_one_enrols(store: AuthenticatorStore) -> None:
    made = await asyncio.gather(*(enrol(store, RING, username="alice", issuer="HPC", now=NOW) for _ in range(8)))
    assert sum(one is not None for one in made) == 1


async def test_no_two_people_share_anything(store: AuthenticatorStore) -> None:
    alice, bob = await enrolled(store), await enrolled(store, "bob")
    assert alice.secret != bob.secret
    assert not set(alice.recovery_codes) & set(bob.recovery_codes)


async def test_the_store_keeps_neither_secret_nor_codes_in_the_clear(store: AuthenticatorStore, database: Database) -> None:
    made = await enrolled(store)
    async with database.read() as connection:
        kept = [
            repr((await connection.exec_driver_sql(f"SELECT * FROM {table}")).all())  # noqa: S608 - names of ours
            for table in ("authenticators", "recovery_codes")
        ]
    assert not any(text in "".join(kept) for text in (made.secret, *made.recovery_codes))


async def test_what_is_shown_once_does_not_show_itself(store: AuthenticatorStore) -> None:
    assert repr(await enrolled(store)) == "Enrolled()"


async def test_taking_the_factor_away_ends_the_sessions_that_it_opened(store: AuthenticatorStore, sessions: SessionStore) -> None:
    await enrolled(store)
    await enrolled(store, "bob")
    for number, username in enumerate(("alice", "alice", "bob")):
        await sessions.add(
            SessionRow(
                id=str(number),
                token_sha256=bytes([number]) * 32,
                kind="session",
                username=username,
                uid=1001,
                created_at=NOW,
                expires_at=NOW + 1,
                last_used_at=NOW,
                second_factor_at=NOW,
                address="",
                client="",
            )
        )
    assert await disenrol(store, sessions, "alice") == (1, 2)


async def test_somebody_whose_factor_was_taken_away_is_not_enrolled(store: AuthenticatorStore, sessions: SessionStore) -> None:
    made = await enrolled(store)
    await disenrol(store, sessions, "alice")
    assert await TotpFactor(store, RING, Totp()).verify("alice", made.recovery_codes[0], NOW) == NotEnrolled()


async def test_somebody_whose_factor_was_taken_away_can_be_enrolled_again(store: AuthenticatorStore, sessions: SessionStore) -> None:
    first = await enrolled(store)
    await disenrol(store, sessions, "alice")
    assert (await enrolled(store)).secret != first.secret


async def test_there_is_nothing_to_take_from_somebody_who_has_nothing(store: AuthenticatorStore, sessions: SessionStore) -> None:
    assert await disenrol(store, sessions, "alice") == (0, 0)
