"""One-time codes that Debian's real freeradius checks, through the whole gateway; and a server that does not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.signin.freeradius import SECRET, FreeRadius, freeradius
from tests.unit.signin.radius.servers import fake_server
from tests.unit.signin.radius.test_packet import answer
from tests.web import fakes
from tests.web.conftest import Build, House

CODE = "1234-567890"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    with freeradius(tmp_path_factory.mktemp("radius")) as running:
        yield running


async def built(build: Build, folder: Path, *ports: int, kinds: tuple[str, ...] = ("radius",), **more: dict[str, object]) -> House:
    path = await fakes.write_private(folder / "radius-secret", SECRET)
    radius: dict[str, object] = {"servers": [f"127.0.0.1:{port}" for port in ports], "secret_file": str(path), "timeout": "300ms"}
    return await build(second_factor={"kinds": list(kinds)}, radius=radius, **more)


async def login(house: House, code: object, username: str = "alice", password: str = fakes.PASSWORD) -> fakes.Answer:
    return await house.ask("POST", "/auth/login", body=json.dumps({"username": username, "password": password, "otp": code}).encode())


async def test_a_code_that_the_server_accepts_signs_in_once(build: Build, tmp_path: Path, server: FreeRadius) -> None:
    house = await built(build, tmp_path, server.port)
    assert [(await login(house, CODE)).status for _ in range(2)] == [200, 401]
    (line,) = await house.audit("sign_in")
    assert (line["user"], line["factor"]) == ("alice", "radius")
    assert [line["cause"] for line in await house.audit("refusal")] == ["code_used"]


async def test_of_one_code_sent_two_hundred_times_at_once_one_signs_in(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda data: [answer(data)]) as generous:
        many = {
            "account_address": 1000,
            "account": 1000,
            "address": 1000,
            "codes": 1000,
            "codes_hour": 1000,
            "codes_day": 1000,
            "refusal_time": "10ms",
        }
        house = await built(build, tmp_path, generous.endpoint.port, throttle=many)
        answers = await asyncio.gather(*(login(house, CODE) for _ in range(200)))
    assert sorted(one.status for one in answers) == [200] + [401] * 199


async def test_a_code_that_was_used_to_sign_in_is_used_for_one_request_too(build: Build, tmp_path: Path, server: FreeRadius) -> None:
    house = await built(build, tmp_path, server.port)
    await login(house, CODE)
    assert (await house.ask("GET", "/slurm/v0.0.41/ping", fakes.basic("alice", otp=CODE))).reason == "credentials_refused"


@pytest.mark.parametrize(("username", "code", "cause"), [("alice", "1234-567891", "radius_rejected"), ("carol", CODE, "radius_challenge")])
async def test_anything_else_is_the_one_answer(build: Build, tmp_path: Path, server: FreeRadius, username: str, code: str, cause: str) -> None:
    house = await built(build, tmp_path, server.port)
    assert (await login(house, code, username)).reason == "credentials_refused"
    assert [line["cause"] for line in await house.audit("refusal")] == [cause]


@pytest.mark.parametrize("code", ["", "12 34", "x" * 65, "\uff11\uff12\uff13\uff14\uff15\uff16", "\u00b9\u00b2\u00b3\u2074\u2075\u2076", "1\n"])
async def test_what_no_keypad_has_is_refused_before_anybody_is_asked(build: Build, tmp_path: Path, server: FreeRadius, code: str) -> None:
    house = await built(build, tmp_path, server.port)
    assert (await login(house, code)).reason == "credentials_refused"
    assert house.directory.asked == []


@pytest.mark.parametrize("code", [123456, None, ["123456"], {"a": 1}, True])
async def test_a_code_that_is_no_string_is_malformed(build: Build, tmp_path: Path, server: FreeRadius, code: object) -> None:
    assert (await login(await built(build, tmp_path, server.port), code)).reason == "bad_request"


async def test_a_wrong_password_sends_no_code_anywhere(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda data: [answer(data)]) as watched:
        house = await built(build, tmp_path, watched.endpoint.port)
        assert (await login(house, CODE, password="wrong")).reason == "credentials_refused"
        assert watched.seen == []


async def test_five_wrong_codes_are_all_that_reach_the_server(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda data: [answer(data, 3)]) as watched:
        house = await built(build, tmp_path, watched.endpoint.port, throttle={"refusal_time": "10ms"})
        answers = await asyncio.gather(*(login(house, f"pin{number}") for number in range(9)))
        assert sorted({one.status for one in answers}) == [401, 429]
        assert len(watched.seen) <= 5


async def test_silence_is_503_and_nobodys_failure(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda _: []) as silent:
        house = await built(build, tmp_path, silent.endpoint.port, throttle={"codes": 1})
        answers = [await login(house, CODE) for _ in range(2)]
        assert [(one.status, one.reason) for one in answers] == [(503, "factor_unavailable")] * 2


async def test_an_answer_without_a_message_authenticator_is_silence(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda data: [answer(data, signed=False)]) as forger:
        assert (await login(await built(build, tmp_path, forger.endpoint.port), CODE)).reason == "factor_unavailable"


async def test_who_has_an_authenticator_is_asked_for_it_and_everybody_else_by_radius(build: Build, tmp_path: Path, server: FreeRadius) -> None:
    house = await built(build, tmp_path, server.port, kinds=("totp", "radius"))
    assert (await login(house, "654321", "bob")).status == 200
    assert (await login(house, await house.code())).status == 200
    assert (await login(house, CODE)).reason == "credentials_refused"


async def test_a_recovery_code_works_while_the_server_is_silent(build: Build, tmp_path: Path) -> None:
    async with fake_server(lambda _: []) as silent:
        house = await built(build, tmp_path, silent.endpoint.port)
        enrolled = await house.enrol()
        assert (await login(house, enrolled.recovery_codes[0])).status == 200


async def test_nobody_enrols_where_radius_alone_decides(build: Build, tmp_path: Path, server: FreeRadius) -> None:
    house = await built(build, tmp_path, server.port)
    answered = await house.ask("POST", "/auth/totp", fakes.bearer(await house.token()))
    assert (answered.status, "nobody enrols" in str(answered.json["hint"])) == (403, True)


async def test_the_code_stands_in_no_log_and_no_trail(build: Build, tmp_path: Path, server: FreeRadius) -> None:
    house = await built(build, tmp_path, server.port)
    await login(house, CODE)
    await login(house, "my-wrong-pin")
    told = house.log + json.dumps(await house.audit())
    assert not any(secret in told for secret in (CODE, "my-wrong-pin", SECRET.decode()))
