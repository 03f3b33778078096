"""DESIGN 2.2: proving the second factor again, over the wire; each code once, whatever is sent at once."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House


def body(otp: object) -> bytes:
    return json.dumps({"otp": otp}).encode()


async def step_up(house: House, token: str, otp: object) -> fakes.Answer:
    return await house.ask("POST", "/auth/stepup", fakes.bearer(token), body(otp))


async def test_a_code_makes_the_second_factor_fresh_again(house: House) -> None:
    token = await house.token(age=1800.0)
    answer = await step_up(house, token, await house.code())
    proved = (await house.ask("GET", "/auth/session", fakes.bearer(token))).json["second_factor_at"]
    assert (answer.status, answer.json) == (200, {"second_factor_at": proved})
    assert datetime.fromisoformat(str(proved)).timestamp() == pytest.approx(time.time(), abs=5)


async def test_a_step_up_does_not_lengthen_the_session(house: House) -> None:
    token = await house.token(age=1800.0)
    before = (await house.ask("GET", "/auth/session", fakes.bearer(token))).json["expires_at"]
    await step_up(house, token, await house.code())
    assert (await house.ask("GET", "/auth/session", fakes.bearer(token))).json["expires_at"] == before


async def test_a_recovery_code_is_as_good(house: House) -> None:
    enrolled = await house.enrol()
    assert (await step_up(house, await house.token(), enrolled.recovery_codes[0])).status == 200


async def test_a_step_up_is_in_the_trail_with_its_session_and_factor(house: House) -> None:
    token = await house.token()
    await step_up(house, token, await house.code())
    (line,) = await house.audit("step_up")
    assert (line["user"], line["factor"], len(str(line["session"]))) == ("alice", "totp", 32)


@pytest.mark.parametrize("otp", ["000000", "", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "aaaa-bbbb-cccc-dddd", "\udcff", "x" * 4000])
async def test_a_wrong_code_is_refused_and_changes_nothing(house: House, otp: str) -> None:
    await house.enrol()
    token = await house.token(age=1800.0)
    answer = await step_up(house, token, otp)
    proved = (await house.ask("GET", "/auth/session", fakes.bearer(token))).json["second_factor_at"]
    assert (answer.status, answer.reason) == (401, "credentials_refused")
    assert datetime.fromisoformat(str(proved)).timestamp() < time.time() - 1700


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", body(123456), body(None), body(["123456"]), b'{"otp":"1","otp":"2"}', b'{"otp":"1","x":1}']
)
async def test_a_malformed_step_up_is_told_so(house: House, content: bytes) -> None:
    answer = await house.ask("POST", "/auth/stepup", fakes.bearer(await house.token()), content)
    assert (answer.status, answer.reason) == (400, "bad_request")


async def test_the_answer_speaks_of_the_code_alone(house: House) -> None:
    await house.enrol()
    answer = await step_up(house, await house.token(), "000000")
    assert [word for word in ("password", "name") if word in f"{answer.json['detail']} {answer.json['hint']}".lower()] == []


async def test_a_code_that_signed_somebody_in_does_not_step_up_and_the_other_way_round(house: House) -> None:
    code = await house.code()
    token = str((await house.ask("POST", "/auth/login", fakes.basic("alice", otp=code))).json["token"])
    assert (await step_up(house, token, code)).reason == "credentials_refused"
    fresh = await house.code()
    assert (await step_up(house, token, fresh)).status == 200
    assert (await house.ask("POST", "/auth/login", fakes.basic("alice", otp=fresh))).reason == "credentials_refused"


async def test_one_code_sent_two_hundred_times_at_once_is_good_once(build: Build) -> None:
    house = await build(throttle={"codes": 1000, "codes_hour": 1000, "codes_day": 1000})
    token, code = await house.token(), await house.code()
    answers = await asyncio.gather(*(step_up(house, token, code) for _ in range(200)))
    assert sorted({answer.status for answer in answers}) == [200, 401]
    assert sum(answer.status == 200 for answer in answers) == 1


async def test_two_hundred_guesses_at_once_are_no_more_than_the_limit(build: Build) -> None:
    house = await build(throttle={"codes": 5})
    await house.enrol()
    token = await house.token()
    answers = await asyncio.gather(*(step_up(house, token, f"{number:06d}") for number in range(200)))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(401) <= 5, statuses.count(429) >= 195, 200 in statuses) == (True, True, False)


async def test_wrong_codes_of_a_step_up_count_for_signing_in_as_well(build: Build) -> None:
    house = await build(throttle={"codes": 2})
    code, token = await house.code(), await house.token()
    for _ in range(2):
        assert (await step_up(house, token, "000000")).status == 401
    assert (await house.ask("POST", "/auth/login", fakes.basic("alice", otp=code))).status == 429


async def test_somebody_elses_code_is_wrong(house: House) -> None:
    await house.enrol("alice")
    assert (await step_up(house, await house.token(), await house.code("bob"))).status == 401


async def test_who_has_no_second_factor_is_told_to_enrol(house: House) -> None:
    assert (await step_up(house, await house.token("carol"), "123456")).reason == "enrolment_required"
