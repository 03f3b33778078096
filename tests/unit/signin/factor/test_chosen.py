from __future__ import annotations

import asyncio

import pytest

from gateway.errors import FactorUnavailable
from gateway.signin.factor import ChosenFactors, NotEnrolled, NotProved, Outcome, Proved
from gateway.signin.recovery import code_digest, make_code
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from tests.unit.fakes import FakeFactor

NOW = 1_700_000_010.0
RECOVERY, BOBS = make_code(b"0123456789"), make_code(b"9876543210")


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    store = AuthenticatorStore(database)
    await store.replace_recovery_codes("alice", (code_digest("alice", RECOVERY),))
    await store.replace_recovery_codes("bob", (code_digest("bob", BOBS),))
    return store


def chosen(store: AuthenticatorStore, *answers: Outcome | Exception) -> ChosenFactors:
    return ChosenFactors([FakeFactor(answer) for answer in answers], store, "Ask somebody.")


async def outcome(factor: ChosenFactors, code: str = "123456", username: str = "alice") -> Outcome:
    return await factor.verify(username, code, "192.0.2.1", NOW)


async def test_the_first_kind_that_has_the_person_decides(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, NotProved("code_wrong"), Proved("radius"))) == NotProved("code_wrong")


async def test_a_kind_that_does_not_have_the_person_is_passed_by(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, NotEnrolled(), Proved("radius"))) == Proved("radius")


async def test_somebody_whom_no_kind_has_is_told_how_to_come_to_one(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, NotEnrolled(), NotEnrolled())) == NotEnrolled("Ask somebody.")


async def test_a_kind_that_does_not_answer_is_not_passed_by(store: AuthenticatorStore) -> None:
    with pytest.raises(FactorUnavailable):
        await outcome(chosen(store, FactorUnavailable("silent"), Proved("totp")))


async def test_a_recovery_code_proves_whatever_the_kinds_say(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, FactorUnavailable("silent")), RECOVERY) == Proved("recovery_code")


async def test_a_used_recovery_code_proves_nothing(store: AuthenticatorStore) -> None:
    await outcome(chosen(store), RECOVERY)
    assert await outcome(chosen(store, NotProved("recovery_code_refused")), RECOVERY) == NotProved("recovery_code_refused")


async def test_somebody_elses_recovery_code_proves_nothing(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, NotProved("recovery_code_refused")), BOBS) == NotProved("recovery_code_refused")


async def test_of_one_recovery_code_sent_many_times_at_once_one_proves(store: AuthenticatorStore) -> None:
    factor = chosen(store, NotProved("recovery_code_refused"))
    outcomes = await asyncio.gather(*(outcome(factor, RECOVERY) for _ in range(50)))
    assert outcomes.count(Proved("recovery_code")) == 1


async def test_somebody_who_has_recovery_codes_alone_can_use_them(store: AuthenticatorStore) -> None:
    assert await outcome(chosen(store, NotEnrolled()), BOBS, "bob") == Proved("recovery_code")


@pytest.mark.parametrize(("code", "could"), [(RECOVERY, True), ("123456", True), ("1", False), (RECOVERY.upper(), True), ("x" * 30, False)])
async def test_what_no_kind_takes_could_be_no_code(store: AuthenticatorStore, code: str, could: bool) -> None:
    assert chosen(store, NotEnrolled()).could_be(code) == could
