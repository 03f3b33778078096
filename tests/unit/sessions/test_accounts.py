"""The last word on an account: when it is asked for again, what a no does, and how long it holds while nobody can be asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from gateway.config import Directory as Settings
from gateway.errors import DirectoryUnavailable, StoreUnavailable
from gateway.sessions import accounts as module
from gateway.sessions.accounts import Accounts, Refused
from gateway.signin.account import REQUIRED, Account, Denied
from gateway.slurm.names import Subject
from gateway.store.accounts import AccountRow
from tests.unit.fakes import FakeAccountRows, FakeTrail

NOW = 1_700_000_000.0
SETTINGS = Settings.model_validate({"urls": ["ldaps://x"], "user_base": "dc=x"})
RECHECK, RECHECK_GRACE, DOWN_FOR = 300.0, 1800.0, 30.0
ALICE = Subject(username="alice", uid=2001)
ACCOUNT = Account(username="alice", uid=2001, groups=frozenset({REQUIRED}))
ROW = AccountRow(username="alice", uid=2001, groups=frozenset({REQUIRED}), checked_at=NOW)
DOWN = DirectoryUnavailable("ldap: down")


@dataclass(slots=True)
class Directory:
    """A directory with one answer; it counts, and waits while ``gate`` is closed."""

    answer: Account | Denied | Exception = ACCOUNT
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def account(self, username: str) -> Account | Denied:
        assert username == "alice"
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass(slots=True)
class Sessions:
    """Counts whose sessions were ended."""

    ended: list[str] = field(default_factory=list)
    had: int = 2
    down: bool = False

    async def end_all_of(self, username: str) -> int:
        if self.down:
            raise StoreUnavailable("store: OperationalError")
        self.ended.append(username)
        return self.had


@dataclass(slots=True)
class World:
    """What workers share."""

    directory: Directory = field(default_factory=Directory)
    rows: FakeAccountRows = field(default_factory=FakeAccountRows)
    sessions: Sessions = field(default_factory=Sessions)
    trail: FakeTrail = field(default_factory=FakeTrail)

    def worker(self) -> Accounts:
        return Accounts(
            directory=self.directory,
            rows=self.rows,
            sessions=self.sessions,
            audit=self.trail,
            barred=lambda account: account.barred or (None if account.member else "not_in_required_group"),
            settings=SETTINGS,
        )


@pytest.fixture
async def world() -> World:
    world = World()
    world.directory.gate.set()
    return world


@pytest.fixture
async def accounts(world: World) -> Accounts:
    return world.worker()


async def test_what_was_said_at_a_sign_in_holds_until_the_next_look_is_due(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    assert [accounts.fresh(ALICE, NOW + at) for at in (0.0, -0.5, RECHECK - 1, RECHECK)] == [ROW, ROW, ROW, None]
    assert world.rows.rows == {"alice": ROW}


async def test_nothing_is_known_of_somebody_unheard_of_or_of_another_uid(accounts: Accounts) -> None:
    await accounts.signed_in(ROW)
    assert accounts.fresh(replace(ALICE, username="bob"), NOW) is None
    assert accounts.fresh(replace(ALICE, uid=2002), NOW) is None


async def test_a_look_is_kept_for_everybody(accounts: Accounts, world: World) -> None:
    assert await accounts.look(ALICE, NOW) == ROW
    elsewhere = world.worker()
    assert await elsewhere.look(ALICE, NOW + RECHECK - 1) == ROW
    assert (world.directory.asked, elsewhere.fresh(ALICE, NOW + RECHECK - 0.5), elsewhere.fresh(ALICE, NOW + RECHECK)) == (1, ROW, None)


async def test_a_look_that_is_due_asks_the_directory(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = replace(ACCOUNT, groups=frozenset({REQUIRED, "staff"}))
    said = await accounts.look(ALICE, NOW + RECHECK)
    assert isinstance(said, AccountRow)
    assert (said.groups, said.checked_at, world.rows.rows["alice"]) == (frozenset({REQUIRED, "staff"}), NOW + RECHECK, said)


async def test_looks_at_once_are_one(accounts: Accounts, world: World) -> None:
    world.directory.gate.clear()
    looks = [asyncio.create_task(accounts.look(ALICE, NOW)) for _ in range(50)]
    await asyncio.sleep(0)
    looks[0].cancel()
    world.directory.gate.set()
    said = await asyncio.gather(*looks, return_exceptions=True)
    assert (said[1:], world.directory.asked) == ([ROW] * 49, 1)


REFUSED = {
    "user_unknown": Denied("user_unknown"),
    "account_disabled": replace(ACCOUNT, barred="account_disabled"),
    "not_in_required_group": replace(ACCOUNT, groups=frozenset({"staff"})),
    "uid_changed": replace(ACCOUNT, uid=2002),
    "name_spelled_otherwise": replace(ACCOUNT, username="Alice"),
}


@pytest.mark.parametrize(("cause", "answer"), REFUSED.items())
async def test_a_no_ends_everything_and_says_why_in_the_trail(accounts: Accounts, world: World, cause: str, answer: Account | Denied) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = answer
    assert await accounts.look(ALICE, NOW + RECHECK) == Refused(cause)
    assert (world.sessions.ended, world.rows.rows) == (["alice"], {})
    assert [(event.event, event.user, event.cause) for event in world.trail.events] == [("sessions_ended", "alice", cause)]


async def test_a_no_to_somebody_who_has_nothing_is_not_in_the_trail(accounts: Accounts, world: World) -> None:
    world.directory.answer, world.sessions.had = Denied("user_unknown"), 0
    await accounts.look(ALICE, NOW)
    assert world.trail.events == []


async def test_a_no_is_no_word_to_rely_on_when_somebody_signs_in_again(accounts: Accounts, world: World) -> None:
    world.directory.answer = Denied("user_unknown")
    await accounts.look(ALICE, NOW)
    assert accounts.fresh(ALICE, NOW) is None
    await accounts.signed_in(replace(ROW, checked_at=NOW + 1))
    assert accounts.fresh(ALICE, NOW + 1) is not None


# The directory is away.


async def test_the_last_word_holds_while_the_directory_is_away(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = DOWN
    assert await accounts.look(ALICE, NOW + RECHECK_GRACE - 1) == ROW
    with pytest.raises(DirectoryUnavailable):
        await accounts.look(ALICE, NOW + RECHECK_GRACE)


async def test_the_last_word_may_be_another_workers(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = DOWN
    assert await world.worker().look(ALICE, NOW + RECHECK) == ROW


async def test_a_directory_that_is_away_is_left_alone_for_a_while(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = DOWN
    await accounts.look(ALICE, NOW + RECHECK)
    held = [accounts.fresh(ALICE, NOW + RECHECK + at) for at in (0.0, DOWN_FOR - 1, DOWN_FOR)]
    assert held == [ROW, ROW, None]


async def test_the_while_is_over_when_the_last_word_is(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = DOWN
    await accounts.look(ALICE, NOW + RECHECK_GRACE - 5)
    assert [accounts.fresh(ALICE, NOW + RECHECK_GRACE + at) for at in (-1.0, 0.0)] == [ROW, None]


async def test_without_a_last_word_nobody_goes_on(accounts: Accounts, world: World) -> None:
    world.directory.answer = DOWN
    with pytest.raises(DirectoryUnavailable):
        await accounts.look(ALICE, NOW)


async def test_a_yes_does_not_hold_for_another_uid(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer = DOWN
    with pytest.raises(DirectoryUnavailable):
        await accounts.look(replace(ALICE, uid=2002), NOW)


async def test_a_no_stays_the_last_word_when_the_store_could_not_be_told(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.directory.answer, world.sessions.down = Denied("user_unknown"), True
    assert await accounts.look(ALICE, NOW + RECHECK) == Refused("user_unknown")
    world.directory.answer = DOWN
    assert await accounts.look(ALICE, NOW + RECHECK + 1) == Refused("user_unknown")


# The store is away.


async def test_without_the_store_the_directory_is_asked_all_the_same(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.rows.down = True
    said = await accounts.look(ALICE, NOW + RECHECK)
    assert said == replace(ROW, checked_at=NOW + RECHECK)
    assert accounts.fresh(ALICE, NOW + RECHECK) == said


async def test_without_store_and_directory_our_own_last_word_holds(accounts: Accounts, world: World) -> None:
    await accounts.signed_in(ROW)
    world.rows.down, world.directory.answer = True, DOWN
    assert await accounts.look(ALICE, NOW + RECHECK) == ROW


async def test_without_the_store_nobody_signs_in(accounts: Accounts, world: World) -> None:
    world.rows.down = True
    with pytest.raises(StoreUnavailable):
        await accounts.signed_in(ROW)


async def test_a_word_from_a_clock_far_ahead_is_not_believed(accounts: Accounts, world: World) -> None:
    world.rows.rows["alice"] = replace(ROW, checked_at=NOW + 7200)
    await accounts.look(ALICE, NOW)
    assert world.directory.asked == 1


async def test_what_is_remembered_does_not_grow_without_end(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CACHED", 3)
    for number in range(10):
        await accounts.signed_in(replace(ROW, username=f"user{number}"))
    assert len(accounts._words) <= 3


async def test_looks_leave_nothing_behind(accounts: Accounts) -> None:
    await accounts.look(ALICE, NOW)
    await asyncio.sleep(0)
    assert not accounts._looking
    await accounts.close()
