from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.authenticators import AuthenticatorRow, AuthenticatorStore, seal_row
from gateway.store.engine import Database

NOW = 1_700_000_000.0
ALICE = AuthenticatorRow(id="a", username="alice", name="telephone", sealed_secret=b"\x00sealed", last_step=0, created_at=NOW)
BOB = replace(ALICE, id="b", username="bob")
CODES = tuple(bytes([number]) * 32 for number in range(10))
# Claims one step from two processes at once; each says how often it got it.
CLAIM = """
import asyncio, os, sys
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import open_database

async def main():
    database = open_database(sys.argv[1], 5.0)
    store = AuthenticatorStore(database)
    print(sum(await asyncio.gather(*(store.claim_step("a", 7) for _ in range(20)))))
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
    await store.add(ALICE, CODES)
    return store


async def test_an_authenticator_is_found_by_its_owner(store: AuthenticatorStore) -> None:
    assert await store.of("alice") == (ALICE,)


@pytest.mark.parametrize("username", ["bob", "ALICE", "alice ", "", "%", "a_ice", "' OR 1=1 --"])
async def test_an_authenticator_is_not_found_by_another_name(store: AuthenticatorStore, username: str) -> None:
    assert await store.of(username) == ()


async def test_somebody_who_has_one_gets_no_other(store: AuthenticatorStore) -> None:
    assert not await store.add(replace(ALICE, id="a2"), (b"x" * 32,))
    assert await store.of("alice") == (ALICE,)


async def test_of_many_enrolments_at_once_one_is_kept(database: Database) -> None:
    store = AuthenticatorStore(database)
    kept = await asyncio.gather(*(store.add(replace(ALICE, id=str(number)), (bytes([number]) * 32,)) for number in range(20)))
    assert (sum(kept), len(await store.of("alice"))) == (1, 1)


async def test_an_authenticator_whose_codes_cannot_be_kept_is_not_kept_either(store: AuthenticatorStore) -> None:
    with pytest.raises(StoreUnavailable):
        await store.add(BOB, CODES)
    assert await store.of("bob") == ()


async def test_a_step_can_be_claimed_once(store: AuthenticatorStore) -> None:
    assert [await store.claim_step("a", 7), await store.claim_step("a", 7)] == [True, False]


@pytest.mark.parametrize(("step", "claimed"), [(6, False), (7, False), (8, True)])
async def test_a_step_uses_up_every_one_before_it(store: AuthenticatorStore, step: int, claimed: bool) -> None:
    await store.claim_step("a", 7)
    assert await store.claim_step("a", step) is claimed


async def test_a_claimed_step_is_remembered(store: AuthenticatorStore) -> None:
    await store.claim_step("a", 7)
    assert await store.of("alice") == (replace(ALICE, last_step=7),)


async def test_the_step_of_an_authenticator_that_is_gone_cannot_be_claimed(store: AuthenticatorStore) -> None:
    assert not await store.claim_step("b", 7)


async def test_one_persons_step_is_not_anothers(store: AuthenticatorStore) -> None:
    await store.add(BOB, (b"b" * 32,))
    await store.claim_step("a", 7)
    assert await store.claim_step("b", 7)


async def test_of_a_hundred_claims_at_once_one_is_granted(store: AuthenticatorStore) -> None:
    assert sum(await asyncio.gather(*(store.claim_step("a", 7) for _ in range(100)))) == 1


async def test_of_claims_through_two_engines_one_is_granted(open_store: Callable[[Path], Database], store_path: Path) -> None:
    workers = [AuthenticatorStore(open_store(store_path)) for _ in range(2)]
    await workers[0].add(ALICE, CODES)
    assert sum(await asyncio.gather(*(worker.claim_step("a", 7) for worker in workers for _ in range(10)))) == 1


@pytest.mark.usefixtures("store")
async def test_of_claims_from_two_processes_one_is_granted(store_path: Path) -> None:
    workers = await asyncio.create_subprocess_exec(sys.executable, "-c", CLAIM, f"sqlite:///{store_path}", stdout=asyncio.subprocess.PIPE)
    said, _ = await workers.communicate()
    assert sorted(map(int, said.split())) == [0, 1]


async def test_a_recovery_code_can_be_claimed_once(store: AuthenticatorStore) -> None:
    assert [await store.claim_recovery_code("alice", CODES[0], NOW), await store.claim_recovery_code("alice", CODES[0], NOW)] == [True, False]


async def test_using_one_recovery_code_leaves_the_others(store: AuthenticatorStore) -> None:
    assert [await store.claim_recovery_code("alice", code, NOW) for code in CODES] == [True] * 10


@pytest.mark.parametrize(("username", "digest"), [("bob", CODES[0]), ("ALICE", CODES[0]), ("alice", b""), ("alice", CODES[0][:31])])
async def test_a_recovery_code_is_its_owners_alone(store: AuthenticatorStore, username: str, digest: bytes) -> None:
    assert not await store.claim_recovery_code(username, digest, NOW)


async def test_of_a_hundred_claims_of_one_recovery_code_at_once_one_is_granted(store: AuthenticatorStore) -> None:
    assert sum(await asyncio.gather(*(store.claim_recovery_code("alice", CODES[0], NOW) for _ in range(100)))) == 1


async def test_removing_takes_authenticator_and_recovery_codes(store: AuthenticatorStore) -> None:
    assert await store.remove_all_of("alice") == 1
    assert (await store.of("alice"), await store.claim_recovery_code("alice", CODES[0], NOW), await store.claim_step("a", 7)) == ((), False, False)


async def test_removing_takes_nothing_of_anybody_else(store: AuthenticatorStore) -> None:
    await store.add(BOB, (b"b" * 32,))
    await store.remove_all_of("bob")
    assert await store.of("alice") == (ALICE,)
    assert await store.claim_recovery_code("alice", CODES[0], NOW)


async def test_recovery_codes_go_with_their_authenticator(store: AuthenticatorStore, database: Database) -> None:
    async with database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM authenticators WHERE id = 'a'")
    assert not await store.claim_recovery_code("alice", CODES[0], NOW)


def test_a_secret_is_sealed_for_its_authenticator_and_its_owner() -> None:
    assert (ALICE.seal_row, seal_row("b", "alice")) == ("authenticators/a/alice", "authenticators/b/alice")


def test_an_authenticator_does_not_show_its_secret() -> None:
    assert "sealed" not in repr(ALICE)
