"""DESIGN 2.2: signing in, the session, signing out; over the wire."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

TOKEN = re.compile(r"sgw_[0-9A-Za-z]{49}")


def login_body(username: str = "alice", password: str = fakes.PASSWORD, otp: str = "123456") -> bytes:
    return json.dumps({"username": username, "password": password, "otp": otp}).encode()


async def test_json_credentials_get_a_token_with_its_lifetime(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", body=login_body(otp=await house.code()))
    assert answer.status == 200
    assert set(answer.json) == {"token", "token_type", "expires_in", "expires_at", "username"}
    assert TOKEN.fullmatch(str(answer.json["token"]))
    assert (answer.json["token_type"], answer.json["username"], answer.json["expires_in"]) == ("Bearer", "alice", 12 * 3600)
    assert datetime.fromisoformat(str(answer.json["expires_at"])).timestamp() == pytest.approx(time.time() + 12 * 3600, abs=5)


async def test_basic_credentials_with_x_otp_and_no_body_get_a_token(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", fakes.basic("alice", otp=await house.code()))
    assert answer.status == 200
    assert TOKEN.fullmatch(str(answer.json["token"]))


async def test_a_recovery_code_stands_in_for_the_one_time_code(house: House) -> None:
    enrolled = await house.enrol()
    answer = await house.ask("POST", "/auth/login", fakes.basic("alice", otp=enrolled.recovery_codes[3]))
    assert answer.status == 200


@pytest.mark.parametrize("accept", ["text/plain", "text/plain, */*", "Text/Plain;q=1"])
async def test_text_plain_gives_the_bare_token_and_a_newline(house: House, accept: str) -> None:
    answer = await house.ask("POST", "/auth/login", [("Accept", accept)], login_body(otp=await house.code()))
    assert answer.field("content-type") == "text/plain; charset=utf-8"
    assert TOKEN.fullmatch(answer.body.decode().removesuffix("\n"))
    assert answer.body.endswith(b"\n")


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/plain"])
async def test_other_types_get_json(house: House, accept: str) -> None:
    answer = await house.ask("POST", "/auth/login", [("Accept", accept)], login_body(otp=await house.code()))
    assert answer.field("content-type") == "application/json"


async def test_no_answer_to_a_sign_in_may_be_kept_by_a_cache(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", body=login_body(otp=await house.code()))
    assert answer.field("cache-control") == "no-store"


REFUSED = {
    "unknown user": ("zoe", fakes.PASSWORD, None),
    "wrong password": ("alice", "wrong", None),
    "wrong code": ("alice", fakes.PASSWORD, "000000"),
    "used code": ("alice", fakes.PASSWORD, "used"),
    "empty password": ("alice", "", None),
    "password of spaces": ("alice", "   ", None),
    "name with a star": ("al*ce", fakes.PASSWORD, None),
    "name with a space": ("alice ", fakes.PASSWORD, None),
    "five digits": ("alice", fakes.PASSWORD, "12345"),
    "full-width digits": ("alice", fakes.PASSWORD, "\uff11\uff12\uff13\uff14\uff15\uff16"),
    "recovery code of nobody's": ("alice", fakes.PASSWORD, "aaaa-bbbb-cccc-dddd"),
}


async def test_whatever_is_wrong_gets_the_same_401(house: House) -> None:
    code = await house.code()
    assert (await house.ask("POST", "/auth/login", body=login_body(otp=code))).status == 200
    fresh = await house.code()
    answers = []
    for username, password, otp in REFUSED.values():
        said = {None: fresh, "used": code}.get(otp, otp)
        answers.append(await house.ask("POST", "/auth/login", body=login_body(username, password, str(said))))
    assert {answer.status for answer in answers} == {401}
    assert {answer.reason for answer in answers} == {"credentials_refused"}
    fields = {tuple(item for item in answer.fields if item[0] not in {"x-request-id", "date"}) for answer in answers}
    bodies = {json.dumps({**answer.json, "request_id": ""}) for answer in answers}
    assert (len(fields), len(bodies)) == (1, 1)


async def test_a_name_that_slurm_takes_for_more_never_gets_a_token(house: House) -> None:
    for username in ("root", "slurm", "33", "daemon"):
        answer = await house.ask("POST", "/auth/login", body=login_body(username, otp=await house.code(username)))
        assert (username, answer.status, answer.reason) == (username, 403, "not_permitted")


async def test_somebody_outside_the_group_is_told_so_once_both_factors_are_right(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", body=login_body("dave", otp=await house.code("dave")))
    assert (answer.status, answer.reason) == (403, "not_permitted")


async def test_somebody_without_a_second_factor_is_sent_to_enrol(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", body=login_body("carol"))
    assert (answer.status, answer.reason) == (403, "enrolment_required")


async def test_a_directory_that_is_down_lets_nobody_in(house: House) -> None:
    house.directory.down = True
    answer = await house.ask("POST", "/auth/login", body=login_body(otp=await house.code()))
    assert (answer.status, answer.reason) == (503, "directory_unavailable")


async def test_too_many_failures_are_throttled_with_the_time_to_wait(build: Build) -> None:
    house = await build(throttle={"account": 2})
    for _ in range(2):
        assert (await house.ask("POST", "/auth/login", body=login_body(password="wrong"))).status == 401
    answer = await house.ask("POST", "/auth/login", body=login_body(password="wrong"))
    assert (answer.status, answer.reason) == (429, "throttled")
    assert 0 < int(str(answer.field("retry-after"))) <= 300


async def test_the_throttle_counts_by_the_address_that_nginx_tells(build: Build) -> None:
    house = await build(throttle={"address": 1})
    from_one, from_two = [("X-Forwarded-For", "192.0.2.7")], [("X-Forwarded-For", "192.0.2.7, 192.0.2.8")]
    assert (await house.ask("POST", "/auth/login", from_one, login_body("zoe"))).status == 401
    assert (await house.ask("POST", "/auth/login", from_one, login_body("zed"))).status == 429
    assert (await house.ask("POST", "/auth/login", from_two, login_body("zed"))).status == 401


MALFORMED = {
    "no body": b"",
    "no JSON": b"username=alice",
    "a list": b"[]",
    "null": b"null",
    "a key too many": b'{"username":"a","password":"b","otp":"123456","admin":true}',
    "a key missing": b'{"username":"a","password":"b"}',
    "a key twice": b'{"username":"a","username":"root","password":"b","otp":"123456"}',
    "a number for a code": b'{"username":"a","password":"b","otp":123456}',
    "null for a password": b'{"username":"a","password":null,"otp":"123456"}',
    "a list for a name": b'{"username":["a"],"password":"b","otp":"123456"}',
    "ten thousand levels": b"[" * 8000,
    "no UTF-8": b'{"username":"\xff","password":"b","otp":"123456"}',
    "NaN": b"NaN",
}


async def test_a_malformed_sign_in_is_told_so_and_the_directory_is_not_asked(house: House) -> None:
    answers = {case: await house.ask("POST", "/auth/login", body=body) for case, body in MALFORMED.items()}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == dict.fromkeys(MALFORMED, (400, "bad_request"))
    assert house.directory.asked == []


TWICE = {
    "a body beside Basic": ([*fakes.basic("alice", otp="123456")], login_body()),
    "a token": (fakes.bearer("sgw_" + "0" * 49), None),
    "a token of Slurm's kind": ([("X-SLURM-USER-TOKEN", "sgw_" + "0" * 49)], login_body()),
    "Basic twice": ([*fakes.basic("alice", otp="123456"), *fakes.basic("bob")], None),
    "X-OTP twice": ([*fakes.basic("alice", otp="123456"), ("X-OTP", "654321")], None),
    "Basic that is no base64": ([("Authorization", "Basic ***"), ("X-OTP", "123456")], None),
    "Basic without a colon": ([("Authorization", "Basic YWxpY2U="), ("X-OTP", "123456")], None),
}


async def test_a_sign_in_presented_in_two_ways_or_by_halves_is_refused(house: House) -> None:
    answers = {case: await house.ask("POST", "/auth/login", fields, body) for case, (fields, body) in TWICE.items()}
    assert {case: (answer.status, answer.reason) for case, answer in answers.items()} == dict.fromkeys(TWICE, (400, "bad_request"))
    assert house.directory.asked == []


async def test_a_sign_in_larger_than_any_sign_in_is_refused(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", body=b" " * 9000)
    assert (answer.status, answer.reason) == (413, "too_large")


async def test_who_waits_for_100_continue_is_told_and_then_signed_in(house: House) -> None:
    body = login_body(otp=await house.code())
    reader, writer = await house.connect()
    writer.write(fakes.encode("POST", "/auth/login", [("Expect", "100-continue"), ("Content-Length", str(len(body)))]))
    assert (await fakes.read_head(reader))[0] == 100
    writer.write(body)
    answer = await fakes.read_answer(reader)
    writer.close()
    assert (answer.status, answer.interim, answer.json["username"]) == (200, (), "alice")


async def test_a_sign_in_with_another_expectation_is_refused(house: House) -> None:
    answer = await house.ask("POST", "/auth/login", [("Expect", "the-best")], login_body(otp=await house.code()))
    assert (answer.status, answer.reason, answer.interim, house.directory.asked) == (400, "bad_request", (), [])


# The session.


async def signed_in(house: House) -> str:
    answer = await house.ask("POST", "/auth/login", [("Accept", "text/plain")], login_body(otp=await house.code()))
    return answer.body.decode().strip()


async def test_the_session_tells_who_i_am_and_never_the_token(house: House) -> None:
    token = await signed_in(house)
    answer = await house.ask("GET", "/auth/session", fakes.bearer(token))
    assert set(answer.json) == {"username", "expires_at", "idle_expires_at", "second_factor_at", "scopes", "kind"}
    assert (answer.json["username"], answer.json["kind"]) == ("alice", "session")
    assert token.encode() not in answer.body


async def test_a_session_that_was_ended_is_dead_at_once(house: House) -> None:
    token = await signed_in(house)
    ended = await house.ask("DELETE", "/auth/session", fakes.bearer(token))
    after = await house.ask("GET", "/auth/session", fakes.bearer(token))
    assert (ended.status, ended.body, after.status, after.reason) == (204, b"", 401, "token_refused")


async def test_ending_one_session_leaves_the_others_alone(house: House) -> None:
    first, second = await house.token(), await house.token()
    await house.ask("DELETE", "/auth/session", fakes.bearer(first))
    assert (await house.ask("GET", "/auth/session", fakes.bearer(second))).status == 200


async def test_an_ended_token_reaches_no_slurmrestd(house: House) -> None:
    token = await house.token()
    assert (await house.ask("GET", "/slurm/v0.0.38/ping", fakes.bearer(token))).status == 200
    await house.ask("DELETE", "/auth/session", fakes.bearer(token))
    assert (await house.ask("GET", "/slurm/v0.0.38/ping", fakes.bearer(token))).status == 401
    assert len(house.slurm.seen) == 1


@pytest.mark.parametrize(("lifetime", "age"), [(3600.0, 3601.0), (7200.0, 3601.0)])
async def test_a_token_dies_of_age_and_of_idleness(house: House, lifetime: float, age: float) -> None:
    token = await house.token(lifetime=lifetime, age=age)
    answer = await house.ask("GET", "/auth/session", fakes.bearer(token))
    assert (answer.status, answer.reason) == (401, "token_refused")
