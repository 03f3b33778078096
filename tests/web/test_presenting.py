"""DESIGN 2.3: the three ways a request may present itself, and every other way."""

from __future__ import annotations

import jwt
import pytest

from tests.web import fakes
from tests.web.conftest import House

PING = "/slurm/v0.0.38/ping"
T = "{token}"  # stands for alice's token in the tables below


def filled(fields: list[tuple[str, str]], token: str) -> list[tuple[str, str]]:
    return [(name, value.replace(T, token)) for name, value in fields]


LET_THROUGH = {
    "Bearer": [("Authorization", f"Bearer {T}")],
    "bearer in lower case": [("authorization", f"bearer {T}")],
    "slurmrestd's own header": [("X-SLURM-USER-TOKEN", T)],
    "slurmrestd's own headers": [("X-SLURM-USER-NAME", "alice"), ("X-SLURM-USER-TOKEN", T)],
    "slurmrestd's own headers in lower case": [("x-slurm-user-name", "alice"), ("x-slurm-user-token", T)],
    "Bearer and the right name": [("X-SLURM-USER-NAME", "alice"), ("Authorization", f"Bearer {T}")],
}


async def test_a_token_is_let_through_as_its_owner(house: House) -> None:
    token = await house.token()
    statuses = {case: (await house.ask("GET", PING, filled(fields, token))).status for case, fields in LET_THROUGH.items()}
    assert statuses == dict.fromkeys(LET_THROUGH, 200)
    assert [seen.field("x-slurm-user-name") for seen in house.slurm.seen] == ["alice"] * len(LET_THROUGH)


async def test_basic_with_a_code_serves_one_request(house: House) -> None:
    code = await house.code()
    first = await house.ask("GET", PING, fakes.basic("alice", otp=code))
    second = await house.ask("GET", PING, fakes.basic("alice", otp=code))
    assert (first.status, second.status, len(house.slurm.seen)) == (200, 401, 1)


async def test_basic_in_the_directorys_other_spelling_acts_under_slurms(house: House) -> None:
    await house.ask("GET", PING, fakes.basic("ALICE", otp=await house.code()))
    assert house.slurm.seen[0].field("x-slurm-user-name") == "alice"


async def test_basic_opens_no_session(house: House) -> None:
    answer = await house.ask("GET", "/auth/session", fakes.basic("alice", otp=await house.code()))
    assert answer.json["kind"] == "session"
    ended = await house.ask("DELETE", "/auth/session", fakes.basic("alice", otp=await house.code()))
    assert (ended.status, ended.reason) == (400, "bad_request")


REFUSED: dict[str, tuple[int, str, list[tuple[str, str]]]] = {
    "nothing": (401, "credentials_required", []),
    "a name alone": (401, "credentials_required", [("X-SLURM-USER-NAME", "alice")]),
    "an empty Authorization": (401, "credentials_required", [("Authorization", "")]),
    "another scheme": (401, "credentials_required", [("Authorization", f"Digest {T}")]),
    "the token without a scheme": (401, "credentials_required", [("Authorization", T)]),
    "underscores for dashes": (401, "credentials_required", [("X_SLURM_USER_TOKEN", T)]),
    "an empty Bearer": (401, "token_refused", [("Authorization", "Bearer ")]),
    "an empty token": (401, "token_refused", [("X-SLURM-USER-TOKEN", "")]),
    "a mistyped token": (401, "token_refused", [("Authorization", f"Bearer {T}x")]),
    "another token's form": (401, "token_refused", [("Authorization", "Bearer sgw_" + "0" * 49)]),
    "a token in Latin-1": (401, "token_refused", [("Authorization", "Bearer sgw_\xe9")]),
    "another name": (403, "not_permitted", [("X-SLURM-USER-NAME", "bob"), ("Authorization", f"Bearer {T}")]),
    "another name beside slurmrestd's header": (403, "not_permitted", [("X-SLURM-USER-TOKEN", T), ("X-SLURM-USER-NAME", "root")]),
    "the name in capitals": (403, "not_permitted", [("X-SLURM-USER-NAME", "ALICE"), ("Authorization", f"Bearer {T}")]),
    "an empty name": (403, "not_permitted", [("X-SLURM-USER-NAME", ""), ("Authorization", f"Bearer {T}")]),
    "both ways": (400, "bad_request", [("Authorization", f"Bearer {T}"), ("X-SLURM-USER-TOKEN", T)]),
    "both ways, one empty": (400, "bad_request", [("Authorization", f"Bearer {T}"), ("X-SLURM-USER-TOKEN", "")]),
    "Authorization twice": (400, "bad_request", [("Authorization", f"Bearer {T}"), ("Authorization", f"Bearer {T}")]),
    "the token twice": (400, "bad_request", [("X-SLURM-USER-TOKEN", T), ("x-slurm-user-token", T)]),
    "the token twice, one empty": (400, "bad_request", [("X-SLURM-USER-TOKEN", ""), ("X-SLURM-USER-TOKEN", T)]),
    "the name twice": (400, "bad_request", [("X-SLURM-USER-NAME", "alice"), ("X-Slurm-User-Name", "root"), ("X-SLURM-USER-TOKEN", T)]),
    "a code beside a token": (400, "bad_request", [("Authorization", f"Bearer {T}"), ("X-OTP", "123456")]),
    "Basic without a code": (401, "credentials_required", fakes.basic("alice")),
    "Basic beside a token": (400, "bad_request", [*fakes.basic("alice", otp="123456"), ("X-SLURM-USER-TOKEN", T)]),
}


async def test_anything_else_is_refused_before_slurmrestd(house: House) -> None:
    token = await house.token()
    answers = {case: await house.ask("GET", PING, filled(fields, token)) for case, (_, _, fields) in REFUSED.items()}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == {case: expected[:2] for case, expected in REFUSED.items()}
    assert house.slurm.seen == []


@pytest.mark.parametrize("header", ["Authorization", "X-SLURM-USER-TOKEN"])
async def test_a_slurm_jwt_is_no_credential_however_good(house: House, header: str) -> None:
    own = jwt.encode({"sun": "alice", "exp": 4102444800}, fakes.JWT_KEY, algorithm="HS256")
    answer = await house.ask("GET", PING, [(header, f"Bearer {own}" if header == "Authorization" else own)])
    assert (answer.status, answer.reason, house.slurm.seen) == (401, "credentials_required", [])


async def test_every_401_carries_a_challenge(house: House) -> None:
    token = await house.token()
    unknown = [fields for status, _, fields in REFUSED.values() if status == 401]
    challenges = [(await house.ask("GET", PING, filled(fields, token))).field("www-authenticate") for fields in unknown]
    assert challenges == ['Bearer realm="slurm-gateway"'] * len(unknown)


async def test_a_session_of_a_name_that_slurm_takes_for_more_mints_nothing(house: House) -> None:
    names = ["root", "slurm", "33", "daemon"]
    answers = [await house.ask("GET", PING, fakes.bearer(await house.token(username))) for username in names]
    assert [(answer.status, answer.reason) for answer in answers] == [(403, "not_permitted")] * len(names)
    assert house.slurm.seen == []
