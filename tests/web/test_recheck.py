"""While a session is used, the directory is asked again whether its account is still what it was."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.signin.account import Account
from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"
RECHECK, GRACE = 300.0, 1800.0


async def time_passes(house: House, seconds: float = RECHECK + 1) -> None:
    """Let every look at an account be older."""
    path = Path(house.config.store.url.removeprefix("sqlite:///"))
    await asyncio.to_thread(fakes.execute, path, "UPDATE accounts SET checked_at = checked_at - ?", (seconds,))
    house.application._sessions._accounts._words.clear()


async def ping(house: House, token: str) -> int:
    return (await house.ask("GET", PING, fakes.bearer(token))).status


def changed(house: House, **values: object) -> None:
    house.directory.people["alice"] = replace(house.directory.people["alice"], **values)  # type: ignore[arg-type]  # a test's own


REFUSED: dict[str, dict[str, object]] = {
    "not_in_required_group": {"groups": frozenset({"staff"})},
    "account_disabled": {"barred": "account_disabled"},
    "uid_changed": {"uid": 2999},
}


@pytest.mark.parametrize("cause", REFUSED)
async def test_who_is_refused_loses_every_session_and_token_at_the_next_look(house: House, cause: str) -> None:
    session, other, bobs = await house.token(), await house.token(), await house.token("bob")
    personal = (await house.ask("POST", "/auth/tokens", fakes.bearer(session), b'{"name":"ci"}')).json
    assert [await ping(house, token) for token in (session, other, bobs, str(personal["token"]))] == [200] * 4
    was: Account = house.directory.people["alice"]
    changed(house, **REFUSED[cause])
    await time_passes(house)
    assert [await ping(house, token) for token in (other, session, str(personal["token"]), bobs)] == [401, 401, 401, 200]
    house.directory.people["alice"] = was
    assert [await ping(house, token) for token in (other, session, str(personal["token"]))] == [401] * 3
    assert [(line["user"], line["cause"]) for line in await house.audit("sessions_ended")] == [("alice", cause)]


async def test_who_is_gone_from_the_directory_is_gone(house: House) -> None:
    token = await house.token()
    assert await ping(house, token) == 200
    del house.directory.people["alice"]
    await time_passes(house)
    assert await ping(house, token) == 401


async def test_no_look_is_taken_before_it_is_due(house: House) -> None:
    token = await house.token()
    assert await ping(house, token) == 200
    changed(house, barred="account_disabled")
    assert await ping(house, token) == 200


async def test_an_account_that_others_guess_at_keeps_its_sessions(build: Build) -> None:
    """The gateway's own throttle says nothing of the account; a directory's lock by guessing is for it to name."""
    house = await build(throttle={"account": 2})
    token = await house.token()
    for _ in range(4):
        await house.ask("POST", "/auth/login", body=json.dumps({"username": "alice", "password": "wrong", "otp": "123456"}).encode())
    await time_passes(house)
    assert await ping(house, token) == 200


async def test_a_directory_that_is_away_ends_no_session(house: House) -> None:
    token = await house.token()
    await time_passes(house)
    house.directory.down = True
    assert await ping(house, token) == 200


async def test_a_directory_that_is_away_for_longer_than_its_word_holds_stops_sessions_but_does_not_end_them(house: House) -> None:
    token = await house.token()
    await time_passes(house, GRACE + 1)
    house.directory.down = True
    answer = await house.ask("GET", PING, fakes.bearer(token))
    assert (answer.status, answer.reason) == (503, "directory_unavailable")
    house.directory.down = False
    assert await ping(house, token) == 200


async def test_requests_at_once_take_one_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    token, looks = await house.token(), 0
    await time_passes(house)
    real = fakes.FakeDirectory.account

    async def account(directory: fakes.FakeDirectory, username: str) -> object:
        nonlocal looks
        looks += 1
        return await real(directory, username)

    monkeypatch.setattr(fakes.FakeDirectory, "account", account)
    assert set(await asyncio.gather(*(ping(house, token) for _ in range(50)))) == {200}
    assert looks == 1


async def test_a_session_from_before_there_were_looks_is_looked_at_first(house: House) -> None:
    """As after an update of the gateway: nothing is known of the account."""
    token = await house.token("dave")
    path = Path(house.config.store.url.removeprefix("sqlite:///"))
    await asyncio.to_thread(fakes.execute, path, "DELETE FROM accounts")
    assert await ping(house, token) == 401
    assert [line["cause"] for line in await house.audit("sessions_ended")] == ["not_in_required_group"]


async def test_a_sign_in_is_a_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    monkeypatch.delattr(fakes.FakeDirectory, "account")
    assert await ping(house, str(answer.json["token"])) == 200
