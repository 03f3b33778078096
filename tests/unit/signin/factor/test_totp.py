from __future__ import annotations

import asyncio
from dataclasses import replace

import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Totp
from gateway.errors import StoreUnavailable
from gateway.signin.factor import NotEnrolled, NotProved, OutOfStep, Proved, TotpFactor
from gateway.signin.factor.totp import told
from gateway.signin.recovery import make_code
from gateway.signin.totp import new_secret, step_at
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import Database
from gateway.store.sealing import KeyRing
from gateway.store.spent import SpentStore
from tests.unit.fakes import RingSeal

NOW = 1_700_000_010.0
STEP = step_at(NOW)
SECRET, OTHER_SECRET, SECOND_SECRET = new_secret(), new_secret(), new_secret()
RECOVERY = make_code(b"0123456789")
RING = KeyRing("k1", {"k1": AESGCM(b"1" * 32)})


def code_at(step: int, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).generate_otp(step)


def row_of(username: str, secret: str, identifier: str, name: str = "authenticator") -> AuthenticatorRow:
    return AuthenticatorRow(
        id=identifier,
        username=username,
        name=name,
        sealed_secret=RING.seal(secret.encode(), seal_row(identifier, username)),
        last_step=0,
        created_at=NOW,
        confirmed_at=NOW,
        origin="administrator",
    )


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    store = AuthenticatorStore(database)
    await store.add(row_of("alice", SECRET, "a"), most=5)
    await store.add(row_of("bob", OTHER_SECRET, "b"), most=5)
    return store


@pytest.fixture
def seal() -> RingSeal:
    return RingSeal(RING)


@pytest.fixture
def factor(store: AuthenticatorStore, database: Database, seal: RingSeal) -> TotpFactor:
    return TotpFactor(store, SpentStore(database), seal, Totp())


async def outcome(factor: TotpFactor, code: str, now: float = NOW, username: str = "alice") -> object:
    return await factor.verify(username, code, "192.0.2.1", now)


@pytest.mark.parametrize("off", [-1, 0, 1])
async def test_a_code_within_the_window_proves(factor: TotpFactor, off: int) -> None:
    assert await outcome(factor, code_at(STEP + off)) == Proved("totp")


@pytest.mark.parametrize("off", [-21, 21, -1000, 1000])
async def test_a_code_of_quite_another_time_is_wrong(factor: TotpFactor, off: int) -> None:
    assert await outcome(factor, code_at(STEP + off)) == NotProved("code_wrong")


@pytest.mark.parametrize(
    ("off", "said"), [(-20, "10 minutes slow"), (-4, "2 minutes slow"), (-2, "a minute slow"), (2, "a minute fast"), (20, "10 minutes fast")]
)
async def test_a_code_that_is_merely_out_of_step_is_told_as_such(factor: TotpFactor, off: int, said: str) -> None:
    assert await outcome(factor, code_at(STEP + off)) == OutOfStep(f"The code is one of your authenticator's, but its clock is about {said}.")


async def test_a_code_that_is_out_of_step_proves_nothing_however_often_it_comes(factor: TotpFactor) -> None:
    outcomes = [await outcome(factor, code_at(STEP - 4)) for _ in range(3)]
    assert all(isinstance(one, OutOfStep) for one in outcomes)


async def test_a_code_of_a_time_to_come_that_was_told_of_is_not_good_when_its_time_has_come(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP + 9))
    assert await outcome(factor, code_at(STEP + 9), NOW + 270) == NotProved("code_used")


async def test_the_other_codes_of_that_time_are_good(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP + 9))
    assert await outcome(factor, code_at(STEP + 10), NOW + 270) == Proved("totp")


async def test_a_code_out_of_step_that_was_used_long_ago_is_used(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP))
    assert await outcome(factor, code_at(STEP), NOW + 300) == NotProved("code_used")


async def test_a_code_out_of_step_that_is_older_than_the_last_one_is_used(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP))
    assert await outcome(factor, code_at(STEP - 8)) == NotProved("code_used")


@pytest.mark.parametrize("steps", range(-20, 21))
def test_what_is_told_has_at_least_a_minute_and_ten_at_most(steps: int) -> None:
    assert 1 <= int(told(steps).replace("about a ", "about 1 ").split("about ")[1].split()[0]) <= 10


async def test_a_used_code_is_refused(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP))
    assert await outcome(factor, code_at(STEP)) == NotProved("code_used")


async def test_an_older_code_after_a_newer_one_is_refused(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP))
    assert await outcome(factor, code_at(STEP - 1)) == NotProved("code_used")


async def test_a_newer_code_after_an_older_one_proves(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP - 1))
    assert await outcome(factor, code_at(STEP)) == Proved("totp")


async def test_of_one_code_sent_many_times_at_once_one_proves(factor: TotpFactor) -> None:
    outcomes = await asyncio.gather(*(outcome(factor, code_at(STEP)) for _ in range(50)))
    assert sorted(map(repr, outcomes)) == sorted(map(repr, [Proved("totp")] + [NotProved("code_used")] * 49))


async def test_a_code_that_was_used_stays_used_should_the_clock_go_back(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP))
    assert await outcome(factor, code_at(STEP - 5), NOW - 150) == NotProved("code_used")


async def test_somebody_elses_code_is_wrong(factor: TotpFactor) -> None:
    assert await outcome(factor, code_at(STEP, OTHER_SECRET)) == NotProved("code_wrong")


async def test_a_wrong_code_uses_nothing_up(factor: TotpFactor) -> None:
    await outcome(factor, code_at(STEP, OTHER_SECRET))
    assert await outcome(factor, code_at(STEP)) == Proved("totp")


async def test_each_of_several_authenticators_proves(factor: TotpFactor, store: AuthenticatorStore) -> None:
    await store.add(row_of("alice", SECOND_SECRET, "a2", "tablet"), most=5)
    assert [await outcome(factor, code_at(STEP, secret)) for secret in (SECRET, SECOND_SECRET)] == [Proved("totp")] * 2


async def test_each_authenticator_has_its_own_last_step(factor: TotpFactor, store: AuthenticatorStore) -> None:
    await store.add(row_of("alice", SECOND_SECRET, "a2", "tablet"), most=5)
    await outcome(factor, code_at(STEP + 1))
    assert await outcome(factor, code_at(STEP - 1, SECOND_SECRET)) == Proved("totp")
    assert [row.last_step for row in await store.of("alice")] == [STEP + 1, STEP - 1]


async def test_an_authenticator_that_waits_for_its_first_code_lets_nobody_in(factor: TotpFactor, store: AuthenticatorStore) -> None:
    await store.add(replace(row_of("alice", SECOND_SECRET, "a2", "tablet"), confirmed_at=None), most=5)
    assert await outcome(factor, code_at(STEP, SECOND_SECRET)) == NotProved("code_wrong")


async def test_somebody_whose_only_authenticator_waits_is_not_enrolled(factor: TotpFactor, store: AuthenticatorStore) -> None:
    await store.add(replace(row_of("carol", SECOND_SECRET, "c"), confirmed_at=None), most=5)
    assert await outcome(factor, code_at(STEP, SECOND_SECRET), username="carol") == NotEnrolled()


@pytest.mark.parametrize("code", ["", *("1" * length for length in range(1, 13) if length != 6), "12345 ", " 12345", "+12345", "1234.5", "0x1234"])
def test_other_than_six_digits_could_be_no_code(factor: TotpFactor, code: str) -> None:
    assert not factor.could_be(code)


@pytest.mark.parametrize(
    "code", ["\uff11\uff12\uff13\uff14\uff15\uff16", "\u00b9\u00b2\u00b3\u2074\u2075\u2076", "\u0661\u0662\u0663\u0664\u0665\u0666"]
)
def test_digits_of_other_scripts_could_be_no_code(factor: TotpFactor, code: str) -> None:
    assert not factor.could_be(code)


@pytest.mark.parametrize("username", ["carol", "ALICE", "alice ", ""])
async def test_somebody_without_an_authenticator_is_not_enrolled(factor: TotpFactor, username: str) -> None:
    assert await outcome(factor, code_at(STEP), username=username) == NotEnrolled()


async def test_a_recovery_code_that_was_not_claimed_before_is_refused_here(factor: TotpFactor) -> None:
    assert await outcome(factor, RECOVERY) == NotProved("recovery_code_refused")


async def test_a_secret_that_does_not_open_lets_nobody_in(store: AuthenticatorStore, factor: TotpFactor) -> None:
    await store.add(replace(row_of("alice", SECRET, "c"), username="carol"), most=5)
    with pytest.raises(StoreUnavailable, match="authenticator c: not sealed for this row"):
        await outcome(factor, code_at(STEP), username="carol")


async def test_a_new_ring_that_still_has_the_old_key_opens(factor: TotpFactor, seal: RingSeal) -> None:
    seal.replace_ring(KeyRing("k2", {"k2": AESGCM(b"2" * 32), **RING.keys}))
    assert await outcome(factor, code_at(STEP)) == Proved("totp")


async def test_a_new_ring_without_the_old_key_lets_nobody_in(factor: TotpFactor, seal: RingSeal) -> None:
    seal.replace_ring(KeyRing("k2", {"k2": AESGCM(b"2" * 32)}))
    with pytest.raises(StoreUnavailable, match="a key that the ring does not have"):
        await outcome(factor, code_at(STEP))
