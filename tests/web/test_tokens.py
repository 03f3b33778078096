"""DESIGN 2.2: personal access tokens over the wire, and what they must not do."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"


async def make(house: House, session: str, **asked: object) -> fakes.Answer:
    return await house.ask("POST", "/auth/tokens", fakes.bearer(session), json.dumps({"name": "ci", **asked}).encode())


async def personal(house: House, session: str, **asked: object) -> dict[str, Any]:
    answer = await make(house, session, **asked)
    assert answer.status == 201, answer.body
    house.said.append(str(answer.json["token"]))
    return answer.json


async def test_a_personal_token_is_shown_once_with_what_it_is_good_for(house: House) -> None:
    made = await personal(house, await house.token(), name="nightly", expires_in=3600, scopes=["read", "submit"], networks=["192.0.2.7"])
    assert set(made) == {"token", "token_type", "id", "name", "expires_at", "expires_in", "scopes", "networks"}
    assert (made["token_type"], made["name"], made["expires_in"]) == ("Bearer", "nightly", 3600)
    assert (made["scopes"], made["networks"]) == (["read", "submit"], ["192.0.2.7/32"])


async def test_a_personal_token_carries_requests_and_says_who_it_is(house: House) -> None:
    made = await personal(house, await house.token())
    told = (await house.ask("GET", "/auth/session", fakes.bearer(made["token"]))).json
    assert set(told) == {"username", "expires_at", "idle_expires_at", "second_factor_at", "scopes", "kind", "name"}
    assert (told["username"], told["kind"], told["name"], told["scopes"]) == ("alice", "token", "ci", ["read"])
    assert told["idle_expires_at"] == told["expires_at"]
    assert (await house.ask("GET", PING, fakes.bearer(made["token"]))).status == 200


async def test_my_tokens_are_listed_without_what_they_are(house: House) -> None:
    session = await house.token()
    first, second = await personal(house, session, name="one"), await personal(house, session, name="two")
    await personal(house, await house.token("bob"))
    answer = await house.ask("GET", "/auth/tokens", fakes.bearer(session))
    tokens = answer.json["tokens"]
    assert isinstance(tokens, list)
    assert {token["id"] for token in tokens} == {first["id"], second["id"]}
    assert set(tokens[0]) == {"id", "name", "created_at", "last_used_at", "expires_at", "scopes", "networks", "address", "client"}
    assert b"sgw_" not in answer.body


async def test_a_token_that_was_ended_is_dead_at_once(house: House) -> None:
    session = await house.token()
    made = await personal(house, session)
    assert (await house.ask("GET", PING, fakes.bearer(made["token"]))).status == 200
    ended = await house.ask("DELETE", f"/auth/tokens/{made['id']}", fakes.bearer(session))
    after = await house.ask("GET", PING, fakes.bearer(made["token"]))
    assert (ended.status, ended.body, after.status, after.reason) == (204, b"", 401, "token_refused")


async def test_a_token_may_end_itself(house: House) -> None:
    made = await personal(house, await house.token())
    assert (await house.ask("DELETE", "/auth/session", fakes.bearer(made["token"]))).status == 204
    assert (await house.ask("GET", "/auth/session", fakes.bearer(made["token"]))).status == 401


async def test_the_session_that_made_a_token_may_end_before_it(house: House) -> None:
    session = await house.token()
    made = await personal(house, session)
    await house.ask("DELETE", "/auth/session", fakes.bearer(session))
    assert (await house.ask("GET", PING, fakes.bearer(made["token"]))).status == 200


@pytest.mark.parametrize("path", ["/auth/tokens", "/auth/stepup", "/auth/totp/confirm"])
async def test_a_session_that_ends_while_the_body_is_on_its_way_makes_nothing(house: House, path: str) -> None:
    session = await house.token()
    body = b'{"name": "late"}'
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", path, [*fakes.bearer(session), ("Content-Length", str(len(body)))]) + body[:5])
    await writer.drain()
    assert (await house.ask("DELETE", "/auth/session", fakes.bearer(session))).status == 204
    writer.write(body[5:])
    assert b" 401 " in await reader.readline()
    writer.close()


async def test_making_and_ending_a_token_is_in_the_trail_without_the_token(house: House) -> None:
    session = await house.token()
    made = await personal(house, session, name="nightly", scopes=["jobs"])
    await house.ask("DELETE", f"/auth/tokens/{made['id']}", fakes.bearer(session))
    (created,), (ended,) = await house.audit("token_created"), await house.audit("token_ended")
    assert (created["target"], created["name"], created["scopes"], created["user"]) == (made["id"], "nightly", ["jobs"], "alice")
    assert (ended["target"], ended["session"]) == (made["id"], created["session"])
    assert made["token"] not in json.dumps([created, ended])


async def test_a_token_needs_a_second_factor_that_was_proved_lately(house: House) -> None:
    session = await house.token(age=601.0)
    stale = await make(house, session)
    await house.ask("POST", "/auth/stepup", fakes.bearer(session), json.dumps({"otp": await house.code()}).encode())
    assert (stale.status, stale.reason, (await make(house, session)).status) == (403, "second_factor_stale", 201)


async def test_there_are_only_so_many_tokens_however_many_are_asked_for_at_once(build: Build) -> None:
    house = await build(tokens={"max_per_user": 3})
    session = await house.token()
    statuses = [answer.status for answer in await asyncio.gather(*(make(house, session) for _ in range(20)))]
    refused = await make(house, session)
    assert (statuses.count(201), statuses.count(409), refused.reason) == (3, 17, "conflict")


@pytest.mark.parametrize("asked", [{"expires_in": 8_000_000}, {"scopes": ["*"]}, {"networks": ["x"]}, {"name": ""}, {"kind": "session"}])
async def test_what_may_not_be_asked_for_is_told_so(house: House, asked: dict[str, object]) -> None:
    answer = await make(house, await house.token(), **asked)
    assert (answer.status, answer.reason) == (400, "bad_request")


async def test_a_token_is_refused_outside_its_networks_on_every_path(house: House) -> None:
    made = await personal(house, await house.token(), networks=["192.0.2.0/24"])
    inside, outside = [("X-Forwarded-For", "192.0.2.9")], [("X-Forwarded-For", "192.0.2.9, 198.51.100.1")]
    for path in (PING, "/auth/session"):
        assert (await house.ask("GET", path, [*fakes.bearer(made["token"]), *inside])).status == 200
        answer = await house.ask("GET", path, [*fakes.bearer(made["token"]), *outside])
        assert (answer.status, answer.reason) == (403, "not_permitted")
    assert len(house.slurm.seen) == 1
    assert {line["cause"] for line in await house.audit("refusal")} == {"token_network"}


# What a personal token must not do.

FORBIDDEN = [
    ("POST", "/auth/tokens", b'{"name":"more","scopes":["admin"]}'),
    ("GET", "/auth/tokens", None),
    ("DELETE", f"/auth/tokens/{'0' * 32}", None),
    ("GET", "/auth/sessions", None),
    ("DELETE", f"/auth/sessions/{'0' * 32}", None),
    ("POST", "/auth/stepup", b'{"otp":"123456"}'),
    ("GET", "/auth/verify", None),
]


async def test_a_personal_token_can_neither_make_more_nor_step_up_nor_see_or_end_anything(build: Build) -> None:
    house = await build(server={"verify": True})
    made = await personal(house, await house.token(), scopes=["admin"])
    answers = [await house.ask(method, path, fakes.bearer(made["token"]), body) for method, path, body in FORBIDDEN]
    assert {(answer.status, answer.reason) for answer in answers} == {(403, "not_permitted")}
    assert {line["cause"] for line in await house.audit("refusal")} == {"token_cannot"}


async def test_a_personal_token_cannot_sign_in_for_another(house: House) -> None:
    made = await personal(house, await house.token())
    answer = await house.ask("POST", "/auth/login", fakes.bearer(made["token"]))
    assert (answer.status, answer.reason) == (400, "bad_request")


async def test_a_personal_token_is_not_ended_as_a_session_nor_a_session_as_a_token(house: House) -> None:
    session = await house.token()
    made = await personal(house, session)
    listed = (await house.ask("GET", "/auth/sessions", fakes.bearer(session))).json["sessions"]
    assert isinstance(listed, list)
    wrong = [f"/auth/sessions/{made['id']}", f"/auth/tokens/{listed[0]['id']}"]
    assert [(await house.ask("DELETE", path, fakes.bearer(session))).status for path in wrong] == [404, 404]


async def test_another_persons_token_is_not_ended(house: House) -> None:
    bobs = await personal(house, await house.token("bob"))
    answer = await house.ask("DELETE", f"/auth/tokens/{bobs['id']}", fakes.bearer(await house.token()))
    assert (answer.status, (await house.ask("GET", "/auth/session", fakes.bearer(bobs["token"]))).status) == (404, 200)


def unsigned_jwt() -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, {"sun": "root", "exp": 4e9}))
    return ".".join([*parts, ""])


async def test_no_jwt_is_a_token_signed_or_not(build: Build) -> None:
    house = await build(server={"verify": True})
    minted = str((await house.ask("GET", "/auth/verify", fakes.bearer(await house.token()))).field("x-slurm-user-token"))
    for jwt in (unsigned_jwt(), minted):
        for fields in (fakes.bearer(jwt), [("X-SLURM-USER-TOKEN", jwt), ("X-SLURM-USER-NAME", "alice")]):
            assert (await house.ask("GET", PING, fields)).status == 401
    assert house.slurm.seen == []


async def test_the_id_of_a_token_is_no_token(house: House) -> None:
    made = await personal(house, await house.token())
    for guess in (made["id"], f"sgw_{made['id']}", made["token"][:-1], made["token"] + "0", made["token"].upper(), made["token"].swapcase()):
        assert (await house.ask("GET", "/auth/session", fakes.bearer(guess))).status == 401


async def test_a_trail_that_cannot_be_written_makes_no_token(build: Build) -> None:
    house = await build(audit={"file": "/dev/full"})
    session = await house.token()
    assert (await make(house, session)).reason == "audit_unavailable"
    assert (await house.ask("GET", "/auth/tokens", fakes.bearer(session))).json == {"tokens": []}
