"""DESIGN 2.2: seeing one's own sessions and ending them, over the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.tokens import make_token, token_digest
from gateway.signin.account import Account
from gateway.store.engine import Database
from gateway.store.sessions import SessionRow, SessionStore
from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"


async def listed(house: House, token: str) -> list[dict[str, Any]]:
    answer = await house.ask("GET", "/auth/sessions", fakes.bearer(token))
    assert answer.status == 200, answer.body
    sessions = answer.json["sessions"]
    assert isinstance(sessions, list)
    return sessions


async def current(house: House, token: str) -> str:
    return next(str(session["id"]) for session in await listed(house, token) if session["current"])


async def test_my_sessions_are_listed_newest_first_and_none_of_anybody_else(house: House) -> None:
    old, new = await house.token(age=60.0), await house.token()
    await house.token("bob")
    sessions = await listed(house, old)
    assert [session["current"] for session in sessions] == [False, True]
    assert set(sessions[0]) == {
        "id", "created_at", "last_used_at", "expires_at", "address", "client", "second_factor_at", "factor", "current"
    }  # fmt: skip
    assert new not in str(sessions)


async def test_a_session_that_has_expired_is_not_listed(house: House) -> None:
    await house.token(lifetime=60.0, age=61.0)
    await house.token(lifetime=7200.0, age=3601.0)  # of idleness
    assert len(await listed(house, await house.token())) == 1


async def test_the_session_of_a_sign_in_is_the_one_in_the_trail(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", [*fakes.basic("alice", otp=await house.code()), ("User-Agent", "curl/8")])
    (session,) = await listed(house, str(answer.json["token"]))
    assert [line["session"] for line in await house.audit("sign_in")] == [session["id"]]
    assert (session["client"], session["factor"]) == ("curl/8", "totp")


async def test_ending_one_of_my_sessions_kills_it_at_once_and_no_other(house: House) -> None:
    mine, other = await house.token(), await house.token()
    assert (await house.ask("GET", PING, fakes.bearer(other))).status == 200
    ended = await house.ask("DELETE", f"/auth/sessions/{await current(house, other)}", fakes.bearer(mine))
    after = await house.ask("GET", PING, fakes.bearer(other))
    assert (ended.status, ended.body, after.status, after.reason) == (204, b"", 401, "token_refused")
    assert (await house.ask("GET", PING, fakes.bearer(mine))).status == 200
    assert [line["event"] for line in await house.audit("session_ended")] == ["session_ended"]


async def test_another_persons_session_is_not_to_be_told_from_none(house: House) -> None:
    mine, bobs = await house.token(), await house.token("bob")
    targets = (await current(house, bobs), "0" * 32)
    answers = [await house.ask("DELETE", f"/auth/sessions/{target}", fakes.bearer(mine)) for target in targets]
    assert [(answer.status, answer.reason) for answer in answers] == [(404, "not_found")] * 2
    assert len({str({**answer.json, "request_id": ""}) for answer in answers}) == 1
    assert (await house.ask("GET", "/auth/session", fakes.bearer(bobs))).status == 200


@pytest.mark.parametrize("item", ["", "x", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "/x", "%30" * 32])
async def test_what_is_no_id_ends_nothing(house: House, item: str) -> None:
    answer = await house.ask("DELETE", f"/auth/sessions/{item}", fakes.bearer(await house.token()))
    assert answer.status in {400, 404, 405}


ONES_OWN = [("GET", "/auth/sessions"), ("DELETE", f"/auth/sessions/{'0' * 32}"), ("POST", "/auth/stepup"), ("GET", "/auth/tokens"),
            ("POST", "/auth/tokens"), ("DELETE", f"/auth/tokens/{'0' * 32}")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ONES_OWN)
async def test_without_a_session_there_is_nothing_to_be_had(house: House, method: str, path: str) -> None:
    body = b"{}" if method == "POST" else None
    nobody = await house.ask(method, path, body=body)
    once = await house.ask(method, path, fakes.basic("alice", otp=await house.code()), body)
    assert (nobody.status, once.status, once.reason) == (401, 403, "not_permitted")
    assert house.directory.asked == []


async def test_a_hundred_requests_within_a_second_ask_the_store_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With some slack for the machine: at most one query a second, and never one a request."""
    token, queries = await house.token(), 0
    real = SessionStore.find

    async def find(store: SessionStore, digest: bytes) -> SessionRow | None:
        nonlocal queries
        queries += 1
        return await real(store, digest)

    monkeypatch.setattr(SessionStore, "find", find)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answers = await asyncio.gather(*(house.ask("GET", PING, fakes.bearer(token)) for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert queries <= 1 + int(loop.time() - begun)


async def test_an_ended_session_dies_on_every_other_gateway_within_a_second(house: House) -> None:
    """Ended behind its back, as another node or ``sessions end`` does it."""
    token = await house.token()
    assert (await house.ask("GET", PING, fakes.bearer(token))).status == 200
    path = house.config.store.url.removeprefix("sqlite:///")
    await asyncio.to_thread(fakes.execute, Path(path), "DELETE FROM sessions", ())
    loop = asyncio.get_running_loop()
    ended = loop.time()
    while (await house.ask("GET", PING, fakes.bearer(token))).status == 200:
        assert loop.time() - ended < 1.0


async def test_tokens_that_nobody_has_are_throttled_and_good_ones_are_not(build: Build) -> None:
    house = await build(throttle={"tokens": 3})
    good = await house.token()
    stranger = make_token(b"s" * 32)
    statuses = [(await house.ask("GET", "/auth/session", fakes.bearer(stranger))).status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    assert (await house.ask("GET", "/auth/session", fakes.bearer(good))).status == 200


async def test_an_enrolments_token_is_good_for_nothing_of_this(house: House) -> None:
    token = await house.token()
    path = Path(house.config.store.url.removeprefix("sqlite:///"))
    await asyncio.to_thread(fakes.execute, path, "UPDATE sessions SET kind = 'enrolment' WHERE token_sha256 = ?", (token_digest(token),))
    calls = [*ONES_OWN, ("GET", "/auth/session"), ("DELETE", "/auth/session"), ("GET", PING)]
    answers = [await house.ask(method, path, fakes.bearer(token), b"{}" if method == "POST" else None) for method, path in calls]
    assert {(answer.status, answer.reason) for answer in answers} == {(403, "not_permitted")}
    assert house.slurm.seen == []


# Without the store.


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Cut the store off, as when PostgreSQL has gone away."""

    def reads_and_writes(_database: Database, _change: object, _lock: str | None = None) -> NoReturn:
        raise StoreUnavailable("store: OperationalError")

    def now() -> None:
        for name in ("read", "write"):
            monkeypatch.setattr(Database, name, reads_and_writes)

    return now


async def test_sessions_in_use_go_on_without_the_store_and_nobody_signs_in(build: Build, cut: Callable[[], None]) -> None:
    house = await build(sessions={"cache": "1ms"})
    seen, unseen, otp = await house.token(), await house.token("bob"), await house.code()
    assert (await house.ask("GET", PING, fakes.bearer(seen))).status == 200
    cut()
    assert (await house.ask("GET", PING, fakes.bearer(seen))).status == 200
    refused = [
        await house.ask("GET", PING, fakes.bearer(unseen)),
        await house.ask("POST", "/auth/login", fakes.basic("alice", otp=otp)),
        await house.ask("GET", PING, fakes.basic("alice", otp=otp)),
        await house.ask("POST", "/auth/stepup", fakes.bearer(seen), json.dumps({"otp": otp}).encode()),
        await house.ask("POST", "/auth/tokens", fakes.bearer(seen), b'{"name":"ci"}'),
        await house.ask("GET", "/auth/sessions", fakes.bearer(seen)),
    ]
    assert {(answer.status, answer.reason) for answer in refused} == {(503, "store_unavailable")}


async def test_without_a_grace_time_nothing_goes_on_without_the_store(build: Build, cut: Callable[[], None]) -> None:
    house = await build(sessions={"cache": "1ms"}, store={"grace": "1ms"})
    token = await house.token()
    assert (await house.ask("GET", PING, fakes.bearer(token))).status == 200
    cut()
    answer = await house.ask("GET", PING, fakes.bearer(token))
    assert (answer.status, answer.reason) == (503, "store_unavailable")


# Verify.


async def test_there_is_no_verify_unless_it_is_configured(house: House) -> None:
    assert (await house.ask("GET", "/auth/verify", fakes.bearer(await house.token()))).status == 404


async def test_verify_gives_a_trusted_server_the_user_and_a_jwt(build: Build) -> None:
    house = await build(server={"verify": True})
    answer = await house.ask("GET", "/auth/verify", fakes.bearer(await house.token()))
    assert (answer.status, answer.body, answer.field("x-slurm-user-name"), answer.field("cache-control")) == (200, b"", "alice", "no-store")
    assert str(answer.field("x-slurm-user-token")).startswith("eyJ")


async def test_verify_gives_nothing_to_whoever_has_no_session(build: Build) -> None:
    house = await build(server={"verify": True})
    fields = [[], fakes.bearer(make_token(b"s" * 32)), fakes.basic("alice", otp=await house.code()),
              [*fakes.bearer(await house.token()), ("X-SLURM-USER-NAME", "bob")]]  # fmt: skip
    answers = [await house.ask("GET", "/auth/verify", presented) for presented in fields]
    assert [answer.status for answer in answers] == [401, 401, 403, 403]
    assert [answer.field("x-slurm-user-token") for answer in answers] == [None] * 4


async def test_verify_gives_nothing_once_the_account_is_refused(build: Build) -> None:
    house = await build(server={"verify": True})
    token = await house.token()
    alice: Account = house.directory.people["alice"]
    house.directory.people["alice"] = replace(alice, barred="account_disabled")
    path = Path(house.config.store.url.removeprefix("sqlite:///"))
    await asyncio.to_thread(fakes.execute, path, "UPDATE accounts SET checked_at = checked_at - 301")
    answer = await house.ask("GET", "/auth/verify", fakes.bearer(token))
    assert (answer.status, answer.field("x-slurm-user-token")) == (401, None)
