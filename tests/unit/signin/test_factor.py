from __future__ import annotations

import asyncio
from dataclasses import replace

import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Totp
from gateway.errors import StoreUnavailable
from gateway.signin.factor import NotEnrolled, NotProved, Proved, TotpFactor
from gateway.signin.recovery import code_digest, make_code
from gateway.signin.totp import new_secret, step_at
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import Database
from gateway.store.sealing import KeyRing

NOW = 1_700_000_010.0
STEP = step_at(NOW)
SECRET, OTHER_SECRET = new_secret(), new_secret()
RECOVERY = make_code(b"0123456789")
RING = KeyRing("k1", {"k1": AESGCM(b"1" * 32)})


def code_at(step: int, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).generate_otp(step)


def row_of(username: str, secret: str, identifier: str) -> AuthenticatorRow:
    return AuthenticatorRow(
        id=identifier,
        username=username,
        name="authenticator",
        sealed_secret=RING.seal(secret.encode(), seal_row(identifier, username)),
        last_step=0,
        created_at=NOW,
    )


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    store = AuthenticatorStore(database)
    await store.add(row_of("alice", SECRET, "a"), (code_digest("alice", RECOVERY),))
    await store.add(row_of("bob", OTHER_SECRET, "b"), (code_digest("bob", make_code(b"9876543210")),))
    return store


@pytest.fixture
def factor(store: AuthenticatorStore) -> TotpFactor:
    return TotpFactor(store, RING, Totp())


@pytest.mark.parametrize("off", [-1, 0, 1])
async def test_a_code_within_the_window_proves(factor: TotpFactor, off: int) -> None:
    assert await factor.verify("alice", code_at(STEP + off), NOW) == Proved("totp")


@pytest.mark.parametrize("off", [-2, 2])
async def test_a_code_beyond_the_window_is_wrong(factor: TotpFactor, off: int) -> None:
    assert await factor.verify("alice", code_at(STEP + off), NOW) == NotProved("code_wrong")


async def test_a_used_code_is_refused(factor: TotpFactor) -> None:
    await factor.verify("alice", code_at(STEP), NOW)
    assert await factor.verify("alice", code_at(STEP), NOW) == NotProved("code_used")


async def test_an_older_code_after_a_newer_one_is_refused(factor: TotpFactor) -> None:
    await factor.verify("alice", code_at(STEP), NOW)
    assert await factor.verify("alice", code_at(STEP - 1), NOW) == NotProved("code_used")


async def test_a_newer_code_after_an_older_one_proves(factor: TotpFactor) -> None:
    await factor.verify("alice", code_at(STEP - 1), NOW)
    assert await factor.verify("alice", code_at(STEP), NOW) == Proved("totp")


async def test_of_one_code_sent_many_times_at_once_one_proves(factor: TotpFactor) -> None:
    outcomes = await asyncio.gather(*(factor.verify("alice", code_at(STEP), NOW) for _ in range(50)))
    assert sorted(map(repr, outcomes)) == sorted(map(repr, [Proved("totp")] + [NotProved("code_used")] * 49))


async def test_a_code_that_was_used_stays_used_should_the_clock_go_back(factor: TotpFactor) -> None:
    await factor.verify("alice", code_at(STEP), NOW)
    assert await factor.verify("alice", code_at(STEP - 5), NOW - 150) == NotProved("code_used")


async def test_somebody_elses_code_is_wrong(factor: TotpFactor) -> None:
    assert await factor.verify("alice", code_at(STEP, OTHER_SECRET), NOW) == NotProved("code_wrong")


async def test_a_wrong_code_uses_nothing_up(factor: TotpFactor) -> None:
    await factor.verify("alice", code_at(STEP + 9), NOW)
    assert await factor.verify("alice", code_at(STEP), NOW) == Proved("totp")


@pytest.mark.parametrize("username", ["carol", "ALICE", "alice ", ""])
async def test_somebody_without_an_authenticator_is_not_enrolled(factor: TotpFactor, username: str) -> None:
    assert await factor.verify(username, code_at(STEP), NOW) == NotEnrolled()


async def test_a_recovery_code_proves(factor: TotpFactor) -> None:
    assert await factor.verify("alice", RECOVERY, NOW) == Proved("recovery_code")


async def test_a_used_recovery_code_is_refused(factor: TotpFactor) -> None:
    await factor.verify("alice", RECOVERY, NOW)
    assert await factor.verify("alice", RECOVERY, NOW) == NotProved("recovery_code_refused")


async def test_somebody_elses_recovery_code_is_refused(factor: TotpFactor) -> None:
    assert await factor.verify("bob", RECOVERY, NOW) == NotProved("recovery_code_refused")


async def test_an_unknown_recovery_code_is_refused(factor: TotpFactor) -> None:
    assert await factor.verify("alice", make_code(b"unknown..."), NOW) == NotProved("recovery_code_refused")


async def test_a_recovery_code_is_none_for_somebody_who_is_not_enrolled(factor: TotpFactor) -> None:
    assert await factor.verify("carol", RECOVERY, NOW) == NotEnrolled()


async def test_a_secret_that_does_not_open_lets_nobody_in(database: Database) -> None:
    store = AuthenticatorStore(database)
    await store.add(replace(row_of("alice", SECRET, "a"), username="carol"), (b"digest",))
    with pytest.raises(StoreUnavailable, match="authenticator a: not sealed for this row"):
        await TotpFactor(store, RING, Totp()).verify("carol", code_at(STEP), NOW)


async def test_a_new_ring_that_still_has_the_old_key_opens(factor: TotpFactor) -> None:
    factor.replace_ring(KeyRing("k2", {"k2": AESGCM(b"2" * 32), **RING.keys}))
    assert await factor.verify("alice", code_at(STEP), NOW) == Proved("totp")


async def test_a_new_ring_without_the_old_key_lets_nobody_in(factor: TotpFactor) -> None:
    factor.replace_ring(KeyRing("k2", {"k2": AESGCM(b"2" * 32)}))
    with pytest.raises(StoreUnavailable, match="a key that the ring does not have"):
        await factor.verify("alice", code_at(STEP), NOW)
