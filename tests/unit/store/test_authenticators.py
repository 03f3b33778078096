from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.config import Store
from gateway.errors import StoreUnavailable
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import Database

NOW = 1_700_000_000.0
ALICE = AuthenticatorRow(
    id="a", username="alice", name="telephone", sealed_secret=b"\x00sealed", last_step=0, created_at=NOW, confirmed_at=NOW, origin="administrator"
)
BOB = replace(ALICE, id="b", username="bob")
CODES = tuple(bytes([number]) * 32 for number in range(10))
# Claims one step from two processes at once; each says how often it got it.
CLAIM = """
import asyncio, os, sys
from gateway.config import Store
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import open_database

async def main():
    database = open_database(Store.model_validate({"url": sys.argv[1], "key_ring_file": "/nowhere/ring"}))
    store = AuthenticatorStore(database)
    print(sum(await asyncio.gather(*(store.claim_step("a", 7, 0.0) for _ in range(20)))))
    await database.close()

for _ in range(2):
    if os.fork() == 0:
        asyncio.run(main())
        sys.stdout.flush()
        os._exit(0)
for _ in range(2):
    os.wait()
"""


@pytest.fixture
async def store(database: Database) -> AuthenticatorStore:
    store = AuthenticatorStore(database)
    await store.add(ALICE, CODES, most=1)
    return store


async def test_an_authenticator_is_found_by_its_owner(store: AuthenticatorStore) -> None:
    assert await store.of("alice") == (ALICE,)


@pytest.mark.parametrize("username", ["bob", "ALICE", "alice ", "", "%", "a_ice", "' OR 1=1 --"])
async def test_an_authenticator_is_not_found_by_another_name(store: AuthenticatorStore, username: str) -> None:
    assert await store.of(username) == ()


async def test_somebody_who_has_as_many_as_are_allowed_gets_no_other(store: AuthenticatorStore) -> None:
    assert await store.add(replace(ALICE, id="a2", name="tablet"), (b"x" * 32,), most=1) == "too_many"
    assert await store.of("alice") == (ALICE,)


async def test_two_authenticators_of_one_person_differ_in_their_names(store: AuthenticatorStore) -> None:
    assert await store.add(replace(ALICE, id="a2"), most=5) == "name_taken"
    assert await store.add(replace(ALICE, id="a3", name="tablet", created_at=NOW + 1), most=5) is None
    assert [row.id for row in await store.of("alice")] == ["a", "a3"]


async def test_another_authenticator_leaves_the_recovery_codes_unless_it_brings_some(store: AuthenticatorStore) -> None:
    await store.add(replace(ALICE, id="a2", name="tablet"), most=5)
    assert await store.recovery_codes_left("alice") == 10
    await store.add(replace(ALICE, id="a3", name="key"), (b"n" * 32,), most=5)
    assert (await store.recovery_codes_left("alice"), await store.claim_recovery_code("alice", CODES[0], NOW)) == (1, False)


@pytest.mark.parametrize("round_", range(5))
async def test_of_many_enrolments_at_once_no_more_than_allowed_are_kept(database: Database, round_: int) -> None:
    store = AuthenticatorStore(database)
    rows = [replace(ALICE, id=f"{round_}-{number}", name=str(number)) for number in range(20)]
    refusals = await asyncio.gather(*(store.add(row, (bytes([number]) * 32,), most=2) for number, row in enumerate(rows)))
    assert (refusals.count(None), refusals.count("too_many")) == (2, 18)
    assert (len(await store.of("alice")), await store.recovery_codes_left("alice")) == (2, 1)


async def test_an_authenticator_that_waited_too_long_makes_room(database: Database) -> None:
    store = AuthenticatorStore(database)
    await store.add(replace(ALICE, confirmed_at=None), most=1)
    later = replace(ALICE, id="a2", created_at=NOW + 100)
    assert [await store.add(later, most=1, pending_since=NOW), await store.add(later, most=1, pending_since=NOW + 1)] == ["too_many", None]


async def test_confirming_uses_the_step_up_and_replaces_the_codes(store: AuthenticatorStore) -> None:
    pending = replace(ALICE, id="a2", name="tablet", confirmed_at=None)
    await store.add(pending, most=5)
    assert await store.confirm("a2", 7, (b"n" * 32,), NOW + 5)
    assert (await store.of("alice"))[1] == replace(pending, confirmed_at=NOW + 5, last_used_at=NOW + 5, last_step=7)
    assert (await store.recovery_codes_left("alice"), await store.claim_step("a2", 7, NOW)) == (1, False)


async def test_what_is_confirmed_or_gone_is_not_confirmed(store: AuthenticatorStore) -> None:
    assert [await store.confirm(name, 7, (), NOW) for name in ("a", "nobody's")] == [False, False]


async def test_of_many_confirmations_at_once_one_is_good(store: AuthenticatorStore) -> None:
    await store.add(replace(ALICE, id="a2", name="tablet", confirmed_at=None), most=5)
    assert sum(await asyncio.gather(*(store.confirm("a2", 7, (bytes([number]) * 32,), NOW) for number in range(20)))) == 1


async def test_confirming_several_at_once_leaves_the_codes_of_one(store: AuthenticatorStore) -> None:
    for number in range(4):
        await store.add(replace(ALICE, id=f"p{number}", name=str(number), confirmed_at=None), most=9)
    codes = [tuple(bytes([16 * number + digit]) * 32 for digit in range(10)) for number in range(4)]
    assert await asyncio.gather(*(store.confirm(f"p{number}", 7, codes[number], NOW) for number in range(4))) == [True] * 4
    assert await store.recovery_codes_left("alice") == 10


async def test_one_authenticator_is_removed_by_its_owner_alone(store: AuthenticatorStore) -> None:
    assert [await store.remove(name, "a") for name in ("bob", "alice", "alice")] == [False, True, False]


async def test_an_authenticator_whose_codes_cannot_be_kept_is_not_kept_either(store: AuthenticatorStore) -> None:
    with pytest.raises(StoreUnavailable):
        await store.add(BOB, CODES, most=1)
    assert await store.of("bob") == ()


async def test_a_step_can_be_claimed_once(store: AuthenticatorStore) -> None:
    assert [await store.claim_step("a", 7, NOW), await store.claim_step("a", 7, NOW)] == [True, False]


@pytest.mark.parametrize(("step", "claimed"), [(6, False), (7, False), (8, True)])
async def test_a_step_uses_up_every_one_before_it(store: AuthenticatorStore, step: int, claimed: bool) -> None:
    await store.claim_step("a", 7, NOW)
    assert await store.claim_step("a", step, NOW) is claimed


async def test_a_claimed_step_is_remembered(store: AuthenticatorStore) -> None:
    await store.claim_step("a", 7, NOW)
    assert await store.of("alice") == (replace(ALICE, last_step=7, last_used_at=NOW),)


async def test_the_step_of_an_authenticator_that_is_gone_cannot_be_claimed(store: AuthenticatorStore) -> None:
    assert not await store.claim_step("b", 7, NOW)


async def test_one_persons_step_is_not_anothers(store: AuthenticatorStore) -> None:
    await store.add(BOB, (b"b" * 32,), most=1)
    await store.claim_step("a", 7, NOW)
    assert await store.claim_step("b", 7, NOW)


async def test_of_two_hundred_claims_at_once_one_is_granted(store: AuthenticatorStore) -> None:
    assert sum(await asyncio.gather(*(store.claim_step("a", 7, NOW) for _ in range(200)))) == 1


async def test_of_claims_through_two_engines_one_is_granted(open_store: Callable[[Store], Database], store_settings: Store) -> None:
    workers = [AuthenticatorStore(open_store(store_settings)) for _ in range(2)]
    await workers[0].add(ALICE, CODES, most=1)
    assert sum(await asyncio.gather(*(worker.claim_step("a", 7, NOW) for worker in workers for _ in range(10)))) == 1


@pytest.mark.usefixtures("store")
async def test_of_claims_from_two_processes_one_is_granted(store_settings: Store) -> None:
    workers = await asyncio.create_subprocess_exec(sys.executable, "-c", CLAIM, store_settings.url, stdout=asyncio.subprocess.PIPE)
    said, _ = await workers.communicate()
    assert sorted(map(int, said.split())) == [0, 1]


async def test_a_recovery_code_can_be_claimed_once(store: AuthenticatorStore) -> None:
    assert [await store.claim_recovery_code("alice", CODES[0], NOW), await store.claim_recovery_code("alice", CODES[0], NOW)] == [True, False]


async def test_using_one_recovery_code_leaves_the_others(store: AuthenticatorStore) -> None:
    assert [await store.claim_recovery_code("alice", code, NOW) for code in CODES] == [True] * 10


@pytest.mark.parametrize(("username", "digest"), [("bob", CODES[0]), ("ALICE", CODES[0]), ("alice", b""), ("alice", CODES[0][:31])])
async def test_a_recovery_code_is_its_owners_alone(store: AuthenticatorStore, username: str, digest: bytes) -> None:
    assert not await store.claim_recovery_code(username, digest, NOW)


async def test_of_two_hundred_claims_of_one_recovery_code_at_once_one_is_granted(store: AuthenticatorStore) -> None:
    assert sum(await asyncio.gather(*(store.claim_recovery_code("alice", CODES[0], NOW) for _ in range(200)))) == 1


async def test_removing_takes_authenticator_and_recovery_codes(store: AuthenticatorStore) -> None:
    assert await store.remove_all_of("alice") == 1
    assert (await store.of("alice"), await store.claim_recovery_code("alice", CODES[0], NOW), await store.claim_step("a", 7, NOW)) == (
        (),
        False,
        False,
    )


async def test_removing_takes_nothing_of_anybody_else(store: AuthenticatorStore) -> None:
    await store.add(BOB, (b"b" * 32,), most=1)
    await store.remove_all_of("bob")
    assert await store.of("alice") == (ALICE,)
    assert await store.claim_recovery_code("alice", CODES[0], NOW)


def test_a_secret_is_sealed_for_its_authenticator_and_its_owner() -> None:
    assert (ALICE.seal_row, seal_row("b", "alice")) == ("authenticators/a/alice", "authenticators/b/alice")


def test_an_authenticator_does_not_show_its_secret() -> None:
    assert "sealed" not in repr(ALICE)
