from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from gateway.config import Directory
from gateway.config import Sessions as Settings
from gateway.errors import NotPermitted, StoreUnavailable, Throttled, TokenRefused
from gateway.sessions import sessions as module
from gateway.sessions.accounts import Accounts
from gateway.sessions.sessions import Grant, Identity, Issued, Sessions, for_one_request
from gateway.sessions.standby import Standby
from gateway.sessions.tokens import make_token, token_digest
from gateway.signin.account import REQUIRED, Account, Denied
from gateway.signin.login import SignedIn
from gateway.slurm.names import Subject
from gateway.store.sessions import ENROLMENT, SessionRow
from tests.unit.fakes import FakeAccountRows, FakeDirectory, FakeGate, FakeRows, FakeTrail

NOW = 1_700_000_000.0
LIFETIME, IDLE, CACHE = 43200.0, 3600.0, 0.5
SETTINGS = Settings.model_validate({"lifetime": "12h", "idle": "1h", "cache": "500ms"})
DIRECTORY = Directory.model_validate({"urls": ["ldaps://x"], "user_base": "dc=x"})
GRACE = 60.0
HERE = "192.0.2.7"
GROUPS = frozenset({REQUIRED, "staff"})
ALICE = SignedIn(subject=Subject(username="alice", uid=1001), groups=GROUPS, at=NOW, method="totp")
ACCOUNT = Account(username="alice", uid=1001, groups=GROUPS)
STRANGER = make_token(bytes(32))


@dataclass(slots=True)
class World:
    """Everything that workers share, and what they would ask."""

    rows: FakeRows = field(default_factory=FakeRows)
    accounts: FakeAccountRows = field(default_factory=FakeAccountRows)
    directory: FakeDirectory = field(default_factory=lambda: FakeDirectory(ACCOUNT))
    trail: FakeTrail = field(default_factory=FakeTrail)
    gate: FakeGate = field(default_factory=FakeGate)
    seconds: float = 0.0

    def worker(self, *, standby: Standby | None = None) -> Sessions:
        accounts = Accounts(
            directory=self.directory,
            rows=self.accounts,
            sessions=self.rows,
            audit=self.trail,
            barred=lambda account: None if account.member else "not_in_required_group",
            settings=DIRECTORY,
        )
        return Sessions(self.rows, accounts, self.gate, SETTINGS, grace=GRACE, standby=standby, clock=lambda: self.seconds)


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
async def rows(world: World) -> FakeRows:
    return world.rows


@pytest.fixture
async def sessions(world: World) -> Sessions:
    return world.worker()


@pytest.fixture
async def issued(sessions: Sessions) -> Issued:
    return await sessions.issue(ALICE, address="192.0.2.7", client="curl/8.0")


async def test_a_token_is_resolved_to_whom_it_was_issued(sessions: Sessions, issued: Issued) -> None:
    assert await sessions.resolve(issued.token, HERE, NOW) == issued.identity
    assert (issued.identity.username, issued.identity.subject.uid, issued.identity.kind) == ("alice", 1001, "session")


def test_an_issued_token_does_not_show_itself(issued: Issued) -> None:
    assert issued.token not in repr(issued)


def test_the_store_is_given_the_digest_and_where_the_session_is_from(rows: FakeRows, issued: Issued) -> None:
    (row,) = rows.rows.values()
    assert (row.token_sha256, row.address, row.client, row.kind) == (token_digest(issued.token), "192.0.2.7", "curl/8.0", "session")


def test_a_session_has_its_ends_from_its_settings(issued: Issued) -> None:
    assert (issued.identity.expires_at, issued.identity.idle_expires_at, issued.identity.second_factor_at) == (NOW + LIFETIME, NOW + IDLE, NOW)


async def test_each_session_has_a_token_and_an_id_of_its_own(sessions: Sessions, issued: Issued) -> None:
    other = await sessions.issue(ALICE, address="192.0.2.7", client="curl/8.0")
    assert other.token != issued.token
    assert other.identity.session_id != issued.identity.session_id


@pytest.mark.parametrize("token", ["", "sgw_", STRANGER[:-1] + "x", "eyJhbGciOiJub25lIn0.eyJzdW4iOiJyb290In0.", "\udcff", "x" * 100_000])
async def test_a_malformed_token_is_refused_without_a_look_up(sessions: Sessions, rows: FakeRows, token: str) -> None:
    with pytest.raises(TokenRefused, match="token_malformed"):
        await sessions.resolve(token, HERE, NOW)
    assert rows.looked_up == 0


async def test_an_unknown_token_is_refused(sessions: Sessions) -> None:
    with pytest.raises(TokenRefused, match="token_unknown_or_ended"):
        await sessions.resolve(STRANGER, HERE, NOW)


async def test_a_session_ends_with_its_life_however_much_it_is_used(sessions: Sessions, issued: Issued) -> None:
    for at in range(0, int(LIFETIME), 1800):
        await sessions.resolve(issued.token, HERE, NOW + at)
    with pytest.raises(TokenRefused, match="session_expired"):
        await sessions.resolve(issued.token, HERE, NOW + LIFETIME)


async def test_a_session_that_is_not_used_ends_early(sessions: Sessions, issued: Issued) -> None:
    with pytest.raises(TokenRefused, match="session_idle"):
        await sessions.resolve(issued.token, HERE, NOW + IDLE)


async def test_a_session_that_is_used_is_put_off(sessions: Sessions, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW + IDLE - 1)
    assert (await sessions.resolve(issued.token, HERE, NOW + IDLE + 1)).idle_expires_at == NOW + 2 * IDLE - 1


async def test_the_idle_end_is_never_after_the_end(sessions: Sessions, issued: Issued) -> None:
    for at in range(0, int(LIFETIME), 1800):
        identity = await sessions.resolve(issued.token, HERE, NOW + at)
    assert identity.idle_expires_at <= identity.expires_at == NOW + LIFETIME


async def test_a_look_that_is_no_use_lets_a_session_idle(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    end = issued.identity.idle_expires_at
    for at in range(int(NOW), int(end), 100):
        assert (await sessions.resolve(issued.token, HERE, at, is_use=False)).idle_expires_at == end
    with pytest.raises(TokenRefused, match="session_idle"):
        await sessions.resolve(issued.token, HERE, end, is_use=False)
    assert rows.touched == []


async def test_an_expired_session_stays_refused_should_the_clock_go_back(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW + LIFETIME)
    rows.rows.clear()
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW + LIFETIME - 1)


async def test_what_was_read_is_believed_for_a_moment(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    for at in (0.0, 0.1, 0.49):
        await sessions.resolve(issued.token, HERE, NOW + at)
    assert rows.looked_up == 1


@pytest.mark.parametrize("at", [CACHE, 1.0, -0.1])
async def test_what_was_read_is_not_believed_for_longer(sessions: Sessions, rows: FakeRows, issued: Issued, at: float) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    rows.rows.clear()
    with pytest.raises(TokenRefused, match="token_unknown_or_ended"):
        await sessions.resolve(issued.token, HERE, NOW + at)


async def test_a_session_that_was_ended_here_is_refused_at_once(sessions: Sessions, issued: Issued) -> None:
    await sessions.end(await sessions.resolve(issued.token, HERE, NOW))
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW)


async def test_a_session_that_was_ended_elsewhere_is_refused_within_a_second(world: World, sessions: Sessions, issued: Issued) -> None:
    elsewhere = world.worker()
    await sessions.end(await elsewhere.resolve(issued.token, HERE, NOW))
    with pytest.raises(TokenRefused):
        await elsewhere.resolve(issued.token, HERE, NOW + 1)


async def test_ending_one_session_leaves_the_others(sessions: Sessions, issued: Issued) -> None:
    other = await sessions.issue(ALICE, address="192.0.2.8", client="python")
    await sessions.resolve(other.token, HERE, NOW)
    await sessions.end(issued.identity)
    assert await sessions.resolve(other.token, HERE, NOW) == other.identity


async def test_a_session_can_be_ended_twice(sessions: Sessions, issued: Issued) -> None:
    await sessions.end(issued.identity)
    await sessions.end(issued.identity)


async def test_requests_at_once_share_one_look_up(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.gate.clear()
    waiting = [asyncio.create_task(sessions.resolve(issued.token, HERE, NOW)) for _ in range(50)]
    await asyncio.sleep(0)
    rows.gate.set()
    assert {identity.username for identity in await asyncio.gather(*waiting)} == {"alice"}
    assert rows.looked_up == 1


async def test_a_client_that_goes_away_does_not_take_the_look_up_of_the_others_along(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.gate.clear()
    first, second = [asyncio.create_task(sessions.resolve(issued.token, HERE, NOW)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    rows.gate.set()
    assert (await second).username == "alice"


async def test_a_store_that_does_not_answer_lets_nobody_in(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.failure = StoreUnavailable("store: OperationalError")
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW)


async def test_a_store_that_answers_again_is_believed_again(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.failure = StoreUnavailable("store: OperationalError")
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW)
    rows.failure = None
    assert (await sessions.resolve(issued.token, HERE, NOW)).username == "alice"


async def test_a_token_that_nobody_had_is_looked_up_again_after_a_moment(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    kept = rows.rows
    rows.rows = {}
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW)
    rows.rows = kept
    assert (await sessions.resolve(issued.token, HERE, NOW + CACHE)).username == "alice"


async def test_uses_are_noted_now_and_then_only(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    for at in range(0, 600, 10):
        await sessions.resolve(issued.token, HERE, NOW + at)
    assert [at - NOW for _, at in rows.touched] == [190, 380, 570]


async def test_uses_at_once_are_noted_once(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW + 179.9)
    await asyncio.gather(*(sessions.resolve(issued.token, HERE, NOW + 180.3) for _ in range(20)))
    assert len(rows.touched) == 1


async def test_the_cache_does_not_grow_without_end(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CACHED", 3)
    for _ in range(10):
        await sessions.resolve((await sessions.issue(ALICE, address="192.0.2.7", client="")).token, HERE, NOW)
    assert len(sessions._known) <= 3


async def test_look_ups_leave_nothing_behind(sessions: Sessions, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    await asyncio.sleep(0)
    assert not sessions._looking_up


def test_credentials_for_one_request_make_no_session() -> None:
    assert for_one_request(ALICE, 60.0) == Identity(
        subject=ALICE.subject,
        kind="one_shot",
        session_id=None,
        expires_at=NOW + 60,
        idle_expires_at=NOW + 60,
        second_factor_at=NOW,
        groups=GROUPS,
        factor="totp",
    )


async def test_ending_what_is_no_session_does_nothing(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await sessions.end(for_one_request(ALICE, 60.0))
    assert (await sessions.resolve(issued.token, HERE, NOW), len(rows.rows)) == (issued.identity, 1)


async def test_a_session_that_ends_while_it_is_looked_up_does_not_come_back(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    stale = dict(rows.rows)
    rows.gate.clear()
    looking = asyncio.create_task(sessions.resolve(issued.token, HERE, NOW))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await sessions.end(issued.identity)
    rows.rows = stale  # the look-up had read the row before it was removed
    rows.gate.set()
    await looking
    rows.rows = {}
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW)


async def test_uses_at_once_that_share_a_look_up_are_noted_once(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await asyncio.gather(*(sessions.resolve(issued.token, HERE, NOW + 600) for _ in range(20)))
    assert len(rows.touched) == 1


# Personal tokens and enrolments.

GRANT = Grant(name="nightly", lifetime=90 * 86400.0, scopes=("read",), networks=("192.0.2.0/24",))


async def granted(sessions: Sessions, issued: Issued, grant: Grant = GRANT, most: int = 50) -> Issued | None:
    return await sessions.grant(issued.identity, grant, address=HERE, client="curl/8.0", now=NOW, most=most)


@pytest.fixture
async def personal(sessions: Sessions, issued: Issued) -> Issued:
    token = await granted(sessions, issued)
    assert token is not None
    return token


async def test_the_first_use_of_a_personal_token_is_noted_at_once_and_the_next_ones_now_and_then(
    sessions: Sessions, rows: FakeRows, personal: Issued
) -> None:
    for at in range(1, 400, 10):
        await sessions.resolve(personal.token, HERE, NOW + at)
    assert [at - NOW for _, at in rows.touched] == [1, 191, 381]


async def test_a_personal_token_stands_for_its_owner_with_what_it_was_given(sessions: Sessions, personal: Issued) -> None:
    identity = await sessions.resolve(personal.token, HERE, NOW)
    assert (identity.username, identity.kind, identity.name, identity.scopes) == ("alice", "token", "nightly", ("read",))
    assert (identity.networks, identity.factor, identity.second_factor_at) == (("192.0.2.0/24",), "totp", NOW)


async def test_a_personal_token_knows_the_session_that_it_was_made_in(rows: FakeRows, issued: Issued, personal: Issued) -> None:
    assert rows.rows[token_digest(personal.token)].made_in == issued.identity.session_id


async def test_a_personal_token_lives_to_its_end_however_little_it_is_used(sessions: Sessions, personal: Issued) -> None:
    assert (await sessions.resolve(personal.token, HERE, NOW + GRANT.lifetime - 1)).idle_expires_at == NOW + GRANT.lifetime
    with pytest.raises(TokenRefused, match="token_expired"):
        await sessions.resolve(personal.token, HERE, NOW + GRANT.lifetime)


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1", "local", "unknown", "192.0.2.7.evil", ""])
async def test_a_personal_token_is_refused_outside_its_networks(sessions: Sessions, personal: Issued, address: str) -> None:
    with pytest.raises(NotPermitted, match="token_network"):
        await sessions.resolve(personal.token, address, NOW)


async def test_a_personal_token_without_networks_may_come_from_everywhere(sessions: Sessions, issued: Issued) -> None:
    token = await granted(sessions, issued, replace(GRANT, networks=()))
    assert token is not None
    assert (await sessions.resolve(token.token, "2001:db8::1", NOW)).kind == "token"


async def test_more_personal_tokens_than_the_limit_are_not_made(sessions: Sessions, issued: Issued) -> None:
    made = [await granted(sessions, issued, most=2) for _ in range(3)]
    assert [token is not None for token in made] == [True, True, False]


async def test_an_enrolment_is_a_kind_of_its_own_that_lives_as_long_as_was_said(sessions: Sessions) -> None:
    enrolment = await sessions.issue(ALICE, address=HERE, client="", kind=ENROLMENT, lifetime=900.0)
    assert (await sessions.resolve(enrolment.token, HERE, NOW + 899)).kind == "enrolment"
    with pytest.raises(TokenRefused, match="enrolment_expired"):
        await sessions.resolve(enrolment.token, HERE, NOW + 900)


async def test_the_id_of_a_session_can_be_drawn_before(sessions: Sessions) -> None:
    assert (await sessions.issue(ALICE, address=HERE, client="", session_id="5e55")).identity.session_id == "5e55"


async def test_what_is_listed_is_what_could_be_used(sessions: Sessions, issued: Issued, personal: Issued) -> None:
    async def ids(kind: str, now: float) -> list[str]:
        return [row.id for row in await sessions.of(kind, "alice", now)]

    assert (await ids("session", NOW + IDLE - 1), await ids("session", NOW + IDLE)) == ([issued.identity.session_id], [])
    assert await ids("token", NOW + IDLE) == [personal.identity.session_id]


@pytest.mark.parametrize(("kind", "username"), [("token", "alice"), ("session", "bob")])
async def test_what_is_of_another_kind_or_person_is_not_ended(sessions: Sessions, issued: Issued, kind: str, username: str) -> None:
    assert issued.identity.session_id is not None
    assert await sessions.end_one(issued.identity.session_id, kind=kind, username=username) is None
    assert (await sessions.resolve(issued.token, HERE, NOW)).username == "alice"


# Tokens that nobody has.


async def test_a_token_that_nobody_has_counts_against_its_address(sessions: Sessions, world: World) -> None:
    with pytest.raises(TokenRefused):
        await sessions.resolve(STRANGER, HERE, NOW)
    assert world.gate.unknown == [(HERE, NOW)]


async def test_too_many_tokens_that_nobody_has_are_throttled(sessions: Sessions, world: World) -> None:
    world.gate.failure = Throttled("throttled_by_token")
    with pytest.raises(Throttled):
        await sessions.resolve(STRANGER, HERE, NOW)


async def test_a_good_token_is_never_refused_for_what_others_try_from_its_address(sessions: Sessions, world: World, issued: Issued) -> None:
    world.gate.failure = Throttled("throttled_by_token")
    assert (await sessions.resolve(issued.token, HERE, NOW)).username == "alice"
    assert world.gate.unknown == []


async def test_a_mistyped_token_is_not_even_counted(sessions: Sessions, world: World) -> None:
    with pytest.raises(TokenRefused, match="token_malformed"):
        await sessions.resolve(STRANGER[:-1] + "x", HERE, NOW)
    assert world.gate.unknown == []


async def test_a_token_that_nobody_has_is_looked_up_once_a_moment(sessions: Sessions, rows: FakeRows) -> None:
    for at in (0.0, 0.1, 0.2):
        with pytest.raises(TokenRefused):
            await sessions.resolve(STRANGER, HERE, NOW + at)
    assert rows.looked_up == 1


# Queries.


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_hundred_requests_within_a_moment_cost_one_query(sessions: Sessions, world: World, issued: Issued, at_once: bool) -> None:
    for second in range(5):
        requests = [sessions.resolve(issued.token, HERE, NOW + second + number * CACHE / 101) for number in range(100)]
        if at_once:
            await asyncio.gather(*requests)
        else:
            for request in requests:
                await request
        assert (world.rows.looked_up, world.accounts.looked_up) == (second + 1, 0)


async def test_a_session_that_is_over_costs_no_more_queries_than_another(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    for number in range(100):
        with pytest.raises(TokenRefused):
            await sessions.resolve(issued.token, HERE, NOW + LIFETIME + number * CACHE / 101)
    assert rows.looked_up == 1


async def test_a_look_up_that_has_been_on_its_way_for_long_is_not_shared(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    """It may have read the session before it ended."""
    rows.gate.clear()
    early = asyncio.create_task(sessions.resolve(issued.token, HERE, NOW))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rows.rows = {}
    late = asyncio.create_task(sessions.resolve(issued.token, HERE, NOW + CACHE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rows.gate.set()
    assert (await early).username == "alice"
    with pytest.raises(TokenRefused):
        await late
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW + CACHE)


# Accounts.


async def test_an_identity_has_the_groups_of_the_sign_in(sessions: Sessions, world: World, issued: Issued) -> None:
    assert (await sessions.resolve(issued.token, HERE, NOW)).groups == issued.identity.groups == GROUPS
    assert world.accounts.looked_up == 0


async def test_groups_are_looked_at_again_when_they_are_due(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    world.directory.answer = replace(ACCOUNT, groups=frozenset({REQUIRED}))
    groups = [(await sessions.resolve(issued.token, HERE, NOW + at)).groups for at in (DIRECTORY.recheck - 1, DIRECTORY.recheck)]
    assert groups == [GROUPS, frozenset({REQUIRED})]


@pytest.mark.parametrize("answer", [Denied("user_unknown"), replace(ACCOUNT, groups=frozenset()), replace(ACCOUNT, uid=1002)])
async def test_who_is_refused_at_the_next_look_loses_everything(
    sessions: Sessions, world: World, issued: Issued, personal: Issued, answer: Account | Denied
) -> None:
    await sessions.resolve(personal.token, HERE, NOW)
    world.directory.answer = answer
    due = NOW + DIRECTORY.recheck
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, due)
    world.directory.answer = ACCOUNT
    with pytest.raises(TokenRefused, match="token_unknown_or_ended"):
        await sessions.resolve(personal.token, HERE, due)
    assert (world.rows.rows, [(event.event, event.user) for event in world.trail.events]) == ({}, [("sessions_ended", "alice")])


# Step-up.


async def test_a_second_factor_proved_again_is_fresh_at_once_and_elsewhere_within_a_moment(sessions: Sessions, world: World, issued: Issued) -> None:
    elsewhere = world.worker()
    for worker in (sessions, elsewhere):
        await worker.resolve(issued.token, HERE, NOW + 400)
    await sessions.prove_again(issued.identity, "recovery_code", NOW + 400)
    here = await sessions.resolve(issued.token, HERE, NOW + 400)
    assert (here.second_factor_at, here.factor) == (NOW + 400, "recovery_code")
    assert (await elsewhere.resolve(issued.token, HERE, NOW + 400 + CACHE)).second_factor_at == NOW + 400


async def test_a_session_that_ended_meanwhile_is_not_proved_again(sessions: Sessions, issued: Issued) -> None:
    await sessions.end(issued.identity)
    with pytest.raises(TokenRefused):
        await sessions.prove_again(issued.identity, "totp", NOW + 1)


async def test_what_was_read_before_a_step_up_does_not_take_it_back(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.gate.clear()
    looking = asyncio.create_task(sessions.resolve(issued.token, HERE, NOW + 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await sessions.prove_again(issued.identity, "totp", NOW + 1)
    rows.gate.set()
    await looking
    assert (await sessions.resolve(issued.token, HERE, NOW + 1)).second_factor_at == NOW + 1


# Without the store.

DOWN = StoreUnavailable("store: OperationalError")


async def test_a_session_that_was_seen_goes_on_for_the_grace_time_and_no_longer(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    world.rows.failure = DOWN
    for at in (1.0, 30.0, GRACE - 0.1):
        world.seconds = at
        assert (await sessions.resolve(issued.token, HERE, NOW + at)).username == "alice"
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW + GRACE)


async def test_a_store_that_is_out_is_not_asked_for_each_request(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    world.rows.failure = DOWN
    for at in range(1, 50):
        world.seconds = at / 100
        await sessions.resolve(issued.token, HERE, NOW + at)
    assert world.rows.looked_up == 2


async def test_a_session_that_was_never_seen_does_not_begin_without_the_store(sessions: Sessions, world: World, issued: Issued) -> None:
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW)


async def test_nobody_signs_in_without_the_store(sessions: Sessions, world: World) -> None:
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.issue(ALICE, address=HERE, client="")


async def test_no_token_outlives_itself_without_the_store(sessions: Sessions, world: World, issued: Issued) -> None:
    short = await granted(sessions, issued, replace(GRANT, lifetime=10.0))
    assert short is not None
    await sessions.resolve(short.token, HERE, NOW)
    world.rows.failure = DOWN
    assert (await sessions.resolve(short.token, HERE, NOW + 9)).kind == "token"
    with pytest.raises(TokenRefused, match="token_expired"):
        await sessions.resolve(short.token, HERE, NOW + 10)


async def test_a_session_that_ended_is_not_brought_back_without_the_store(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    await sessions.end(issued.identity)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW + 1)


async def test_a_session_that_was_found_ended_is_not_brought_back_without_the_store(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    await world.worker().end(issued.identity)
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, HERE, NOW + CACHE)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW + 2 * CACHE)


async def test_a_session_that_its_owner_ends_without_the_store_goes_on_no_longer_here(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.end(issued.identity)
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, HERE, NOW + 1)


async def test_an_enrolment_does_not_go_on_without_the_store(sessions: Sessions, world: World) -> None:
    enrolment = await sessions.issue(ALICE, address=HERE, client="", kind=ENROLMENT, lifetime=900.0)
    await sessions.resolve(enrolment.token, HERE, NOW)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(enrolment.token, HERE, NOW + 1)


async def test_a_use_that_cannot_be_noted_fails_no_request_and_is_noted_later(sessions: Sessions, world: World, issued: Issued) -> None:
    await sessions.resolve(issued.token, HERE, NOW + 170)
    world.rows.failure = DOWN
    await sessions.resolve(issued.token, HERE, NOW + 185)
    await sessions.close()
    world.rows.failure = None
    for at in (190, 196):
        world.seconds = at
        await sessions.resolve(issued.token, HERE, NOW + at)
        await sessions.close()
    assert [at - NOW for _, at in world.rows.touched] == [196]


@pytest.fixture
async def standby(world: World) -> Standby:
    return Standby(world.rows, clock=lambda: NOW)


async def test_a_session_that_the_standby_knows_goes_on_for_the_grace_time(world: World, standby: Standby, issued: Issued) -> None:
    worker = world.worker(standby=standby)
    await standby.load()
    world.rows.failure = DOWN
    assert (await worker.resolve(issued.token, HERE, NOW + GRACE - 1)).username == "alice"
    with pytest.raises(StoreUnavailable):
        await worker.resolve(issued.token, HERE, NOW + GRACE)


async def test_the_standby_is_not_asked_while_the_store_answers(world: World, standby: Standby, sessions: Sessions, issued: Issued) -> None:
    worker = world.worker(standby=standby)
    await standby.load()
    await sessions.end(issued.identity)
    with pytest.raises(TokenRefused):
        await worker.resolve(issued.token, HERE, NOW)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await worker.resolve(issued.token, HERE, NOW + CACHE)


async def test_what_ended_here_is_forgotten_by_the_standby_too(world: World, standby: Standby, issued: Issued) -> None:
    worker = world.worker(standby=standby)
    await standby.load()
    await worker.end(issued.identity)
    world.rows.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await worker.resolve(issued.token, HERE, NOW)


def test_a_row_that_is_not_filled_in_may_do_nothing() -> None:
    row, _ = module._new_row("5e55", "token", ALICE.subject, now=NOW, lifetime=1.0, address=HERE, client="")
    assert isinstance(row, SessionRow)
    assert (row.scopes, row.second_factor_at) == ((), 0.0)
