from __future__ import annotations

import asyncio

import pytest

from gateway.config import Throttle
from gateway.errors import Throttled
from gateway.signin.gate import Attempt, Gate
from gateway.store.attempts import AttemptStore
from gateway.store.engine import Database
from gateway.store.known import KnownAddressStore

NOW = 1_700_000_000.0
HOME, AWAY = "192.0.2.7", "198.51.100.9"
DAY = 86400.0
SETTINGS = {"window": "5m", "account_address": 3, "account": 4, "address": 6, "site": 12, "tokens": 2, "codes": 2, "codes_hour": 3, "codes_day": 4}


@pytest.fixture
def gate(database: Database) -> Gate:
    return Gate(AttemptStore(database), KnownAddressStore(database), Throttle.model_validate(SETTINGS))


async def fail(gate: Gate, count: int, account: str = "alice", address: str = AWAY, now: float = NOW) -> list[Attempt]:
    return [await gate.enter(account, address, now) for _ in range(count)]


async def refused(gate: Gate, account: str = "alice", address: str = AWAY, now: float = NOW) -> str:
    with pytest.raises(Throttled) as caught:
        await gate.enter(account, address, now)
    return caught.value.cause


async def wrong_codes(gate: Gate, count: int, now: float = NOW) -> None:
    for _ in range(count):
        await gate.enter_step_up("alice", HOME, now)


async def code_refused(gate: Gate, now: float) -> tuple[tuple[str, str], ...]:
    with pytest.raises(Throttled) as caught:
        await gate.enter_step_up("alice", HOME, now)
    return caught.value.headers


async def test_failures_from_one_address_use_up_its_allowance_for_the_account(gate: Gate) -> None:
    await fail(gate, 3)
    assert await refused(gate) == "throttled_by_account_address"


async def test_failures_from_many_addresses_use_up_the_accounts(gate: Gate) -> None:
    for number in range(4):
        await fail(gate, 1, address=f"198.51.100.{number}")
    assert await refused(gate, address="198.51.100.99") == "throttled_by_account"


async def test_failures_on_many_accounts_use_up_the_addresss(gate: Gate) -> None:
    for number in range(6):
        await fail(gate, 1, account=f"user{number}")
    assert await refused(gate, account="somebody") == "throttled_by_address"


async def test_addresses_of_one_ipv6_network_are_one(gate: Gate) -> None:
    for number in range(6):
        await fail(gate, 1, account=f"user{number}", address=f"2001:db8::{number + 1}")
    assert await refused(gate, account="somebody", address="2001:db8::ffff") == "throttled_by_address"


async def test_failures_all_over_use_up_the_sites(gate: Gate) -> None:
    for number in range(12):
        await fail(gate, 1, account=f"user{number}", address=f"198.51.100.{number}")
    assert await refused(gate, account="somebody", address="203.0.113.1") == "throttled_by_site"


async def test_nobody_locks_the_owner_out_of_an_address_that_the_owner_has_signed_in_from(gate: Gate) -> None:
    await gate.passed(await gate.enter("alice", HOME, NOW), NOW)
    for number in range(4):
        await fail(gate, 1, address=f"198.51.100.{number}", now=NOW + 1)
    await gate.enter("alice", HOME, NOW + 2)


async def test_a_neighbour_who_guesses_at_others_does_not_lock_the_owner_out(gate: Gate) -> None:
    await gate.passed(await gate.enter("alice", HOME, NOW), NOW)
    for number in range(6):
        await fail(gate, 1, account=f"user{number}", address=HOME, now=NOW + 1)
    await gate.enter("alice", HOME, NOW + 2)


async def test_a_known_address_has_its_own_limit_all_the_same(gate: Gate) -> None:
    await gate.passed(await gate.enter("alice", HOME, NOW), NOW)
    await fail(gate, 3, address=HOME, now=NOW + 1)
    assert await refused(gate, address=HOME, now=NOW + 2) == "throttled_by_account_address"


async def test_an_address_is_known_for_thirty_days(gate: Gate) -> None:
    await gate.passed(await gate.enter("alice", HOME, NOW), NOW)
    later = NOW + 30 * DAY + 1
    for number in range(4):
        await fail(gate, 1, address=f"198.51.100.{number}", now=later)
    assert await refused(gate, address=HOME, now=later) == "throttled_by_account"


async def test_an_address_is_known_for_its_owner_alone(gate: Gate) -> None:
    await gate.passed(await gate.enter("bob", HOME, NOW), NOW)
    for number in range(4):
        await fail(gate, 1, address=f"198.51.100.{number}")
    assert await refused(gate, address=HOME) == "throttled_by_account"


async def test_a_failure_makes_no_address_known(gate: Gate) -> None:
    for attempt in await fail(gate, 2, address=HOME):
        await gate.forget(attempt)
    for number in range(4):
        await fail(gate, 1, address=f"198.51.100.{number}")
    assert await refused(gate, address=HOME) == "throttled_by_account"


async def test_what_succeeded_is_not_counted(gate: Gate) -> None:
    for _ in range(20):
        attempt = await gate.enter("alice", AWAY, NOW)
        await gate.enter_code(attempt, NOW)
        await gate.passed(attempt, NOW)


async def test_wrong_codes_are_borne_twice_in_five_minutes_thrice_an_hour_and_four_times_a_day(gate: Gate) -> None:
    await wrong_codes(gate, 2)
    assert await code_refused(gate, NOW + 1) == (("Retry-After", "299"),)
    await wrong_codes(gate, 1, NOW + 300)
    assert await code_refused(gate, NOW + 700) == (("Retry-After", "2900"),)
    await wrong_codes(gate, 1, NOW + 3600)
    assert await code_refused(gate, NOW + 20_000) == (("Retry-After", "66400"),)


async def test_of_several_limits_that_are_reached_the_longest_wait_is_told(gate: Gate) -> None:
    for now in (NOW, NOW + 301, NOW + 302):
        await wrong_codes(gate, 1, now)
    assert await code_refused(gate, NOW + 303) == (("Retry-After", "3297"),)


async def test_a_wrong_code_after_a_password_and_one_within_a_session_are_counted_together(gate: Gate) -> None:
    for _ in range(2):
        await gate.enter_code(await gate.enter("alice", AWAY, NOW), NOW)
    assert await code_refused(gate, NOW + 1) == (("Retry-After", "299"),)


async def test_wrong_passwords_do_not_use_up_the_codes(gate: Gate) -> None:
    await fail(gate, 3)
    await gate.enter_step_up("alice", HOME, NOW)


async def test_codes_at_once_never_exceed_the_limit(gate: Gate) -> None:
    outcomes = await asyncio.gather(*(gate.enter_step_up("alice", HOME, NOW) for _ in range(200)), return_exceptions=True)
    assert sum(isinstance(outcome, Attempt) for outcome in outcomes) == 2


async def test_guesses_at_once_never_exceed_the_limit(gate: Gate) -> None:
    outcomes = await asyncio.gather(*(gate.enter("alice", AWAY, NOW) for _ in range(200)), return_exceptions=True)
    assert sum(isinstance(outcome, Attempt) for outcome in outcomes) == 3


async def test_tokens_that_nobody_has_are_borne_to_a_limit_of_their_own(gate: Gate) -> None:
    for _ in range(2):
        await gate.unknown_token(AWAY, NOW)
    with pytest.raises(Throttled, match="throttled_by_token"):
        await gate.unknown_token(AWAY, NOW)
    await gate.enter("alice", AWAY, NOW)


async def test_a_name_longer_than_any_is_counted_as_well(gate: Gate) -> None:
    await fail(gate, 3, account="a" * 400)
    assert await refused(gate, account="a" * 400) == "throttled_by_account_address"


async def test_an_unlocked_account_begins_anew(gate: Gate, database: Database) -> None:
    from gateway.signin.throttle import keys_of  # noqa: PLC0415 - what 'users unlock' does

    await fail(gate, 3)
    await wrong_codes(gate, 2)
    assert await AttemptStore(database).unlock(keys_of("alice")) == 8
    await fail(gate, 3)
    await wrong_codes(gate, 2)
