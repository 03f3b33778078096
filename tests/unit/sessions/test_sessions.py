from __future__ import annotations

import asyncio

import pytest

from gateway.config import Sessions as Settings
from gateway.errors import StoreUnavailable, TokenRefused
from gateway.sessions import sessions as module
from gateway.sessions.sessions import Identity, Issued, Sessions, for_one_request
from gateway.sessions.tokens import make_token, token_digest
from gateway.signin.login import SignedIn
from gateway.slurm.names import Subject
from tests.unit.fakes import FakeRows

NOW = 1_700_000_000.0
LIFETIME, IDLE, CACHE = 43200.0, 3600.0, 0.5
SETTINGS = Settings.model_validate({"lifetime": "12h", "idle": "1h", "cache": "500ms"})
ALICE = SignedIn(subject=Subject(username="alice", uid=1001), at=NOW, method="totp")
STRANGER = make_token(bytes(32))


@pytest.fixture
async def rows() -> FakeRows:
    return FakeRows()


@pytest.fixture
async def sessions(rows: FakeRows) -> Sessions:
    return Sessions(rows, SETTINGS)


@pytest.fixture
async def issued(sessions: Sessions) -> Issued:
    return await sessions.issue(ALICE, address="192.0.2.7", client="curl/8.0")


async def test_a_token_is_resolved_to_whom_it_was_issued(sessions: Sessions, issued: Issued) -> None:
    assert await sessions.resolve(issued.token, NOW) == issued.identity
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
        await sessions.resolve(token, NOW)
    assert rows.looked_up == 0


async def test_an_unknown_token_is_refused(sessions: Sessions) -> None:
    with pytest.raises(TokenRefused, match="token_unknown_or_ended"):
        await sessions.resolve(STRANGER, NOW)


async def test_a_session_ends_with_its_life_however_much_it_is_used(sessions: Sessions, issued: Issued) -> None:
    for at in range(0, int(LIFETIME), 1800):
        await sessions.resolve(issued.token, NOW + at)
    with pytest.raises(TokenRefused, match="session_expired"):
        await sessions.resolve(issued.token, NOW + LIFETIME)


async def test_a_session_that_is_not_used_ends_early(sessions: Sessions, issued: Issued) -> None:
    with pytest.raises(TokenRefused, match="session_idle"):
        await sessions.resolve(issued.token, NOW + IDLE)


async def test_a_session_that_is_used_is_put_off(sessions: Sessions, issued: Issued) -> None:
    await sessions.resolve(issued.token, NOW + IDLE - 1)
    assert (await sessions.resolve(issued.token, NOW + IDLE + 1)).idle_expires_at == NOW + 2 * IDLE - 1


async def test_the_idle_end_is_never_after_the_end(sessions: Sessions, issued: Issued) -> None:
    for at in range(0, int(LIFETIME), 1800):
        identity = await sessions.resolve(issued.token, NOW + at)
    assert identity.idle_expires_at <= identity.expires_at == NOW + LIFETIME


async def test_an_expired_session_stays_refused_should_the_clock_go_back(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, NOW + LIFETIME)
    rows.rows.clear()
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, NOW + LIFETIME - 1)


async def test_what_was_read_is_believed_for_a_moment(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    for at in (0.0, 0.1, 0.49):
        await sessions.resolve(issued.token, NOW + at)
    assert rows.looked_up == 1


@pytest.mark.parametrize("at", [CACHE, 1.0, -0.1])
async def test_what_was_read_is_not_believed_for_longer(sessions: Sessions, rows: FakeRows, issued: Issued, at: float) -> None:
    await sessions.resolve(issued.token, NOW)
    rows.rows.clear()
    with pytest.raises(TokenRefused, match="token_unknown_or_ended"):
        await sessions.resolve(issued.token, NOW + at)


async def test_a_session_that_was_ended_here_is_refused_at_once(sessions: Sessions, issued: Issued) -> None:
    await sessions.end(await sessions.resolve(issued.token, NOW))
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, NOW)


async def test_a_session_that_was_ended_elsewhere_is_refused_within_a_second(rows: FakeRows, sessions: Sessions, issued: Issued) -> None:
    elsewhere = Sessions(rows, SETTINGS)
    await sessions.end(await elsewhere.resolve(issued.token, NOW))
    with pytest.raises(TokenRefused):
        await elsewhere.resolve(issued.token, NOW + 1)


async def test_ending_one_session_leaves_the_others(sessions: Sessions, issued: Issued) -> None:
    other = await sessions.issue(ALICE, address="192.0.2.8", client="python")
    await sessions.resolve(other.token, NOW)
    await sessions.end(issued.identity)
    assert await sessions.resolve(other.token, NOW) == other.identity


async def test_a_session_can_be_ended_twice(sessions: Sessions, issued: Issued) -> None:
    await sessions.end(issued.identity)
    await sessions.end(issued.identity)


async def test_requests_at_once_share_one_look_up(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.gate.clear()
    waiting = [asyncio.create_task(sessions.resolve(issued.token, NOW)) for _ in range(50)]
    await asyncio.sleep(0)
    rows.gate.set()
    assert {identity.username for identity in await asyncio.gather(*waiting)} == {"alice"}
    assert rows.looked_up == 1


async def test_a_client_that_goes_away_does_not_take_the_look_up_of_the_others_along(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.gate.clear()
    first, second = [asyncio.create_task(sessions.resolve(issued.token, NOW)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    rows.gate.set()
    assert (await second).username == "alice"


async def test_a_store_that_does_not_answer_lets_nobody_in(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.failure = StoreUnavailable("store: OperationalError")
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, NOW)


async def test_a_store_that_answers_again_is_believed_again(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    rows.failure = StoreUnavailable("store: OperationalError")
    with pytest.raises(StoreUnavailable):
        await sessions.resolve(issued.token, NOW)
    rows.failure = None
    assert (await sessions.resolve(issued.token, NOW)).username == "alice"


async def test_a_token_that_was_refused_is_looked_up_again(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    kept = rows.rows
    rows.rows = {}
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, NOW)
    rows.rows = kept
    assert (await sessions.resolve(issued.token, NOW)).username == "alice"


async def test_uses_are_noted_now_and_then_only(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    for at in range(0, 600, 10):
        await sessions.resolve(issued.token, NOW + at)
    assert [at - NOW for _, at in rows.touched] == [190, 380, 570]


async def test_uses_at_once_are_noted_once(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await sessions.resolve(issued.token, NOW + 179.9)
    await asyncio.gather(*(sessions.resolve(issued.token, NOW + 180.3) for _ in range(20)))
    assert len(rows.touched) == 1


async def test_the_cache_does_not_grow_without_end(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CACHED", 3)
    for _ in range(10):
        await sessions.resolve((await sessions.issue(ALICE, address="192.0.2.7", client="")).token, NOW)
    assert len(sessions._cache) <= 3


async def test_look_ups_leave_nothing_behind(sessions: Sessions, issued: Issued) -> None:
    await sessions.resolve(issued.token, NOW)
    await asyncio.sleep(0)
    assert not sessions._looking_up


def test_credentials_for_one_request_make_no_session() -> None:
    assert for_one_request(ALICE, 60.0) == Identity(
        subject=ALICE.subject, kind="one_shot", session_id=None, expires_at=NOW + 60, idle_expires_at=NOW + 60, second_factor_at=NOW
    )


async def test_ending_what_is_no_session_does_nothing(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await sessions.end(for_one_request(ALICE, 60.0))
    assert (await sessions.resolve(issued.token, NOW), len(rows.rows)) == (issued.identity, 1)


async def test_a_session_that_ends_while_it_is_looked_up_does_not_come_back(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    stale = dict(rows.rows)
    rows.gate.clear()
    looking = asyncio.create_task(sessions.resolve(issued.token, NOW))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await sessions.end(issued.identity)
    rows.rows = stale  # the look-up had read the row before it was removed
    rows.gate.set()
    await looking
    rows.rows = {}
    with pytest.raises(TokenRefused):
        await sessions.resolve(issued.token, NOW)


async def test_uses_at_once_that_share_a_look_up_are_noted_once(sessions: Sessions, rows: FakeRows, issued: Issued) -> None:
    await asyncio.gather(*(sessions.resolve(issued.token, NOW + 600) for _ in range(20)))
    assert len(rows.touched) == 1
