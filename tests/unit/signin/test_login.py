from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.config import Secret, Store, Throttle
from gateway.errors import (
    CodeOutOfStep,
    CredentialsRefused,
    DirectoryUnavailable,
    EnrolmentRequired,
    NotPermitted,
    Refusal,
    StoreUnavailable,
    Throttled,
)
from gateway.signin.account import REQUIRED, Account, Denied
from gateway.signin.credentials import Credentials, credentials
from gateway.signin.factor import NotEnrolled, NotProved, OutOfStep, Proved
from gateway.signin.gate import Gate
from gateway.signin.login import Login, SignedIn
from gateway.slurm.names import NameRules, Subject
from gateway.store.attempts import AttemptStore
from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore
from tests.unit.conftest import sqlite_store
from tests.unit.fakes import FakeDirectory, FakeFactor, no_turns

NOW = 1_700_000_010.0
ADDRESS = "192.0.2.7"
IN = frozenset({REQUIRED})
ALICE = Account(username="alice", uid=1001, groups=IN)
DAVE = Account(username="dave", uid=1004, groups=frozenset())
TRAPS = [
    (Account(username="root", uid=0, groups=IN), "name_reserved"),
    (Account(username="root", uid=1001, groups=IN), "name_reserved"),
    (Account(username="Root", uid=1001, groups=IN), "name_reserved"),
    (Account(username="slurm", uid=64030, groups=IN), "name_reserved"),
    (Account(username="33", uid=1033, groups=IN), "name_all_digits"),
    (Account(username="www-data", uid=33, groups=IN), "uid_below_minimum"),
    (Account(username="alice", uid=999, groups=IN), "uid_below_minimum"),
    (Account(username="alice ", uid=1001, groups=IN), "name_malformed"),
    (Account(username="", uid=1001, groups=IN), "name_malformed"),
    (DAVE, "not_in_required_group"),
]


def typed(username: str = "alice", otp: str = "123456") -> Credentials:
    return credentials(username, "secret", otp)


class Stage:
    """A login with a directory and a factor that play their parts, on a real store."""

    def __init__(self, database: Database, *, account: int = 3, address: int = 5) -> None:
        self.directory = FakeDirectory(ALICE)
        self.factor = FakeFactor(Proved("totp"))
        self._database = database
        settings = Throttle.model_validate({"window": "5m", "account_address": account, "account": account, "address": address})
        self.login = Login(
            directory=self.directory,
            factor=self.factor,
            gate=Gate(AttemptStore(database), KnownAddressStore(database), settings),
            names=NameRules.of("slurm", (), 1000),
            turns=no_turns(),
        )

    async def refusal(self, who: Credentials | None = None, address: str = ADDRESS, now: float = NOW) -> Refusal:
        with pytest.raises(Refusal) as caught:
            await self.login.sign_in(who or typed(), address, now)
        return caught.value

    async def counted(self) -> int:
        return int(
            await self._database.read(lambda connection: connection.exec_driver_sql("SELECT count(DISTINCT attempt) FROM attempts").scalar_one())
        )

    async def unlock(self, *scopes: str) -> None:
        rows = [{"scope": scope} for scope in scopes]
        await self._database.write(lambda connection: connection.execute(text("DELETE FROM attempts WHERE scope = :scope"), rows))


@pytest.fixture
async def stage(database: Database) -> Stage:
    return Stage(database)


async def test_both_factors_let_somebody_in(stage: Stage) -> None:
    assert await stage.login.sign_in(typed(), ADDRESS, NOW) == SignedIn(subject=Subject(username="alice", uid=1001), groups=IN, at=NOW, method="totp")


async def test_a_sign_in_is_not_counted_as_a_failure(stage: Stage) -> None:
    await stage.login.sign_in(typed(), ADDRESS, NOW)
    assert await stage.counted() == 0


async def test_the_name_is_the_directorys_own_not_the_typed_one(stage: Stage) -> None:
    assert (await stage.login.sign_in(typed("ALICE"), ADDRESS, NOW)).subject.username == "alice"


async def test_the_code_is_asked_of_the_directorys_name(stage: Stage) -> None:
    await stage.login.sign_in(typed("ALICE", "654321"), ADDRESS, NOW)
    assert stage.factor.asked == [("alice", "654321", NOW)]


async def test_the_directory_is_asked_once_with_what_was_typed(stage: Stage) -> None:
    await stage.login.sign_in(typed("ALICE"), ADDRESS, NOW)
    assert stage.directory.asked == [("ALICE", b"secret")]


@pytest.mark.parametrize("cause", ["user_unknown", "user_ambiguous", "password_refused", "account_unusable", "uid_missing_or_malformed"])
async def test_whoever_the_directory_denies_is_refused_and_counted(stage: Stage, cause: str) -> None:
    stage.directory.answer = Denied(cause)
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (CredentialsRefused, cause, 1)


async def test_a_password_that_the_directory_refuses_is_refused_and_counted(stage: Stage) -> None:
    stage.directory.refuses = "password_must_change"
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (CredentialsRefused, "password_must_change", 1)


async def test_a_name_that_nobody_has_costs_a_bind_as_well(stage: Stage) -> None:
    stage.directory.answer = Denied("user_unknown")
    await stage.refusal()
    assert stage.directory.asked == [("alice", b"secret")]


async def test_a_right_password_for_nobody_is_none(stage: Stage) -> None:
    stage.directory.answer, stage.directory.refuses = Denied("user_ambiguous"), None
    assert (await stage.refusal()).cause == "user_ambiguous"


async def test_an_account_that_is_barred_does_not_come_in_with_both_factors(stage: Stage) -> None:
    stage.directory.answer = Account(username="alice", uid=1001, groups=IN, barred="account_disabled")
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause) == (NotPermitted, "account_disabled")


async def test_somebody_whose_password_was_right_is_told_that_the_code_is_out_of_step(stage: Stage) -> None:
    stage.factor.answer = OutOfStep("Your clock is 3 minutes slow.")
    refusal = await stage.refusal()
    assert (type(refusal), refusal.reason, refusal.detail) == (CodeOutOfStep, "credentials_refused", "Your clock is 3 minutes slow.")
    assert await stage.counted() == 1


async def test_codes_are_counted_apart_from_passwords_and_told_before_they_are_evaluated(stage: Stage) -> None:
    stage.factor.answer = NotProved("code_wrong")
    for number in range(5):
        await stage.refusal(address=f"192.0.2.{number}", now=NOW + number)
        await stage.unlock("account", "account_address")
    stage.factor.asked.clear()
    refusal = await stage.refusal(now=NOW + 6)
    assert (refusal.cause, refusal.headers, stage.factor.asked) == ("throttled_by_code", (("Retry-After", "294"),), [])


async def test_a_step_up_is_proved_by_a_code_alone(stage: Stage) -> None:
    assert await stage.login.step_up(Subject(username="alice", uid=1001), "123456", ADDRESS, NOW) == "totp"
    assert (stage.factor.asked, stage.directory.asked, await stage.counted()) == ([("alice", "123456", NOW)], [], 0)


async def test_wrong_codes_of_a_step_up_and_of_a_sign_in_are_counted_together(stage: Stage) -> None:
    stage.factor.answer = NotProved("code_wrong")
    for _ in range(5):
        with pytest.raises(CredentialsRefused):
            await stage.login.step_up(Subject(username="alice", uid=1001), "123456", ADDRESS, NOW)
    assert (await stage.refusal()).cause == "throttled_by_code"


async def test_a_password_shown_alone_is_counted_until_its_caller_says_how_it_ended(stage: Stage) -> None:
    account, attempt = await stage.login.show_password("alice", Secret(b"secret"), ADDRESS, NOW)
    assert (account, attempt.account, await stage.counted()) == (ALICE, "alice", 1)


async def test_a_wrong_password_shown_alone_is_refused_and_counted(stage: Stage) -> None:
    stage.directory.refuses = "password_refused"
    with pytest.raises(CredentialsRefused):
        await stage.login.show_password("alice", Secret(b"wrong"), ADDRESS, NOW)
    assert await stage.counted() == 1


@pytest.mark.parametrize("otp", ["1", "12345", "x" * 30])
async def test_what_the_second_factor_takes_for_no_code_is_refused_before_anybody_is_asked(stage: Stage, otp: str) -> None:
    assert (await stage.refusal(typed(otp=otp))).cause == "code_malformed"
    assert (stage.directory.asked, stage.factor.asked, await stage.counted()) == ([], [], 0)


async def test_a_session_is_asked_for_a_code_of_the_same_form(stage: Stage) -> None:
    with pytest.raises(CredentialsRefused, match="code_malformed"):
        await stage.login.step_up(Subject(username="alice", uid=1001), "12345", ADDRESS, NOW)


async def test_somebody_without_a_second_factor_is_told_how_to_come_to_one(stage: Stage) -> None:
    stage.factor.answer = NotEnrolled("Ask the oracle.")
    assert (await stage.refusal()).hint == "Ask the oracle."


async def test_a_code_is_not_looked_at_before_the_password_is_right(stage: Stage) -> None:
    stage.directory.refuses = "password_refused"
    await stage.refusal()
    assert stage.factor.asked == []


@pytest.mark.parametrize("cause", ["code_wrong", "recovery_code_refused"])
async def test_a_wrong_code_is_refused_and_counted(stage: Stage, cause: str) -> None:
    stage.factor.answer = NotProved(cause)
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (CredentialsRefused, cause, 1)


async def test_a_used_code_is_refused_and_was_no_guess(stage: Stage) -> None:
    stage.factor.answer = NotProved("code_used")
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (CredentialsRefused, "code_used", 0)


async def test_somebody_without_a_second_factor_is_told_so_and_not_counted(stage: Stage) -> None:
    stage.factor.answer = NotEnrolled()
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (EnrolmentRequired, "not_enrolled", 0)


@pytest.mark.parametrize(("person", "cause"), TRAPS)
async def test_nobody_who_may_not_come_in_does_with_both_factors(stage: Stage, person: Account, cause: str) -> None:
    stage.directory.answer = person
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (NotPermitted, cause, 0)


@pytest.mark.parametrize(("person", "cause"), TRAPS)
async def test_nobody_who_may_not_come_in_learns_that_the_password_was_right(stage: Stage, person: Account, cause: str) -> None:
    stage.directory.answer = person
    stage.factor.answer = NotEnrolled()
    refusal = await stage.refusal()
    assert (type(refusal), refusal.cause, await stage.counted()) == (CredentialsRefused, f"not_enrolled_and_{cause}", 1)


@pytest.mark.parametrize(("person", "cause"), TRAPS)
async def test_nobody_who_may_not_come_in_is_told_more_than_a_wrong_code(stage: Stage, person: Account, cause: str) -> None:
    stage.directory.answer = person
    stage.factor.answer = NotProved("code_wrong")
    assert (await stage.refusal()).detail == CredentialsRefused(cause).detail


async def test_a_directory_that_is_down_is_nobodys_failure(stage: Stage) -> None:
    stage.directory.answer = DirectoryUnavailable("ldaps://ldap.demo.example: SERVER_DOWN")
    assert (type(await stage.refusal()), await stage.counted()) == (DirectoryUnavailable, 0)


async def test_a_store_that_is_down_at_the_second_factor_is_nobodys_failure(stage: Stage) -> None:
    stage.factor.answer = StoreUnavailable("store: OperationalError")
    assert (type(await stage.refusal()), await stage.counted()) == (StoreUnavailable, 0)


async def test_without_a_store_to_count_in_nothing_is_evaluated(open_store: Callable[[Store], Database], tmp_path: Path) -> None:
    stage = Stage(open_store(sqlite_store(tmp_path / "absent" / "gateway.db")))
    assert isinstance(await stage.refusal(), StoreUnavailable)
    assert stage.directory.asked == []


async def test_a_defect_is_counted_rather_than_forgotten(stage: Stage) -> None:
    stage.factor.answer = RuntimeError("a defect")
    with pytest.raises(RuntimeError):
        await stage.login.sign_in(typed(), ADDRESS, NOW)
    assert await stage.counted() == 1


async def test_after_too_many_failures_the_account_has_to_wait(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    for number in range(3):
        await stage.refusal(address=f"192.0.2.{number}", now=NOW + number)
    refusal = await stage.refusal(address="192.0.2.9", now=NOW + 3)
    assert (type(refusal), refusal.cause, refusal.headers) == (Throttled, "throttled_by_account", (("Retry-After", "297"),))


async def test_every_spelling_of_a_name_has_the_same_counter(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    for username in ("alice", "ALICE", "Alice"):
        await stage.refusal(typed(username))
    assert isinstance(await stage.refusal(typed("aLICE")), Throttled)


async def test_after_too_many_failures_the_address_has_to_wait(stage: Stage) -> None:
    stage.directory.answer = Denied("user_unknown")
    for number in range(5):
        await stage.refusal(typed(f"user{number}"))
    assert (await stage.refusal(typed("user9"))).cause == "throttled_by_address"


async def test_somebody_elsewhere_is_not_held_up_by_them(stage: Stage) -> None:
    stage.directory.answer = Denied("user_unknown")
    for number in range(5):
        await stage.refusal(typed(f"user{number}"))
    stage.directory.answer = ALICE
    assert (await stage.login.sign_in(typed(), "192.0.2.8", NOW)).subject.username == "alice"


async def test_whoever_has_to_wait_is_told_before_anything_is_evaluated(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    for _ in range(3):
        await stage.refusal()
    stage.directory.asked.clear()
    await stage.refusal()
    assert stage.directory.asked == []


async def test_an_attempt_that_was_throttled_does_not_prolong_the_wait(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    for _ in range(20):
        await stage.refusal()
    assert await stage.counted() == 3


async def test_when_the_window_has_passed_there_is_room_again(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    for _ in range(3):
        await stage.refusal()
    stage.directory.answer = ALICE
    assert (await stage.login.sign_in(typed(), ADDRESS, NOW + 300)).subject.username == "alice"


async def test_guesses_at_once_do_not_outrun_the_limit(stage: Stage) -> None:
    stage.directory.answer = Denied("password_refused")
    refusals = await asyncio.gather(*(stage.refusal(address=f"192.0.2.{number}") for number in range(60)))
    assert len(stage.directory.asked) == 3
    assert sum(isinstance(refusal, Throttled) for refusal in refusals) == 57


@pytest.mark.parametrize("cause", ["user_unknown", "password_refused"])
async def test_the_outside_cannot_tell_what_was_wrong(stage: Stage, cause: str) -> None:
    stage.directory.answer = Denied(cause)
    refused = await stage.refusal()
    stage.directory.answer, stage.factor.answer = ALICE, NotProved("code_used")
    other = await stage.refusal()
    assert (refused.status, refused.reason, refused.detail, refused.hint, refused.headers) == (
        other.status,
        other.reason,
        other.detail,
        other.hint,
        other.headers,
    )
