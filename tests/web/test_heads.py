"""HEAD and OPTIONS, which slurmrestd does not have: made of a GET, and answered by the gateway itself."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

PING = "/slurm/v0.0.38/ping"
JOBS = "/slurm/v0.0.38/jobs"
CHANGING = ["/slurm/v0.0.40/reconfigure", "/slurm/v0.0.45/job/7/requeue", "/clusters/main/slurm/v0.0.40/reconfigure"]
# What differs between two answers to the same.
DIFFERS = {"x-request-id", "date", "x-cache", "age"}
LARGE = fakes.replies(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 157286400\r\n\r\n{")


def told(answer: fakes.Answer) -> tuple[int, dict[str, str]]:
    return answer.status, {name: value for name, value in answer.fields if name not in DIFFERS}


async def both(house: House, target: str, fields: list[tuple[str, str]]) -> tuple[fakes.Answer, fakes.Answer]:
    return await house.ask("GET", target, fields), await house.ask("HEAD", target, fields)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("status", [200, 404])
async def test_a_head_has_the_head_of_the_get_and_no_body(build: Build, status: int, shared: bool) -> None:
    house = await build(reads={"enabled": shared})
    house.slurm.behaviour = fakes.replies(fakes.http(status, fakes.OK))
    get, head = await both(house, PING, fakes.bearer(await house.token()))
    assert (told(head), head.body) == (told(get), b"")
    assert head.field("content-length") == str(len(get.body))


async def test_a_head_of_what_is_kept_asks_nobody(build: Build) -> None:
    house = await build(reads={"enabled": True, "max_age": "60s"})
    known = fakes.bearer(await house.token())
    await house.ask("GET", PING, known)
    get, head = await both(house, PING, known)
    assert (told(head), head.body, head.field("x-cache"), len(house.slurm.seen)) == (told(get), b"", "hit", 1)


async def test_a_head_of_what_the_client_has_is_304(build: Build) -> None:
    house = await build(reads={"enabled": True})
    known = fakes.bearer(await house.token())
    etag = (await house.ask("HEAD", PING, known)).field("etag")
    head = await house.ask("HEAD", PING, [*known, ("If-None-Match", str(etag))])
    assert (head.status, head.field("etag"), head.body) == (304, etag, b"")


async def test_a_head_in_a_content_coding_has_the_length_of_that(build: Build) -> None:
    house = await build(reads={"enabled": True})
    house.slurm.behaviour = fakes.replies(fakes.http(200, b'{"jobs": [' + b'"the same", ' * 1000 + b"0]}"))
    get, head = await both(house, JOBS, [*fakes.bearer(await house.token()), ("Accept-Encoding", "gzip")])
    assert [head.field(name) for name in ("content-encoding", "content-length")] == ["gzip", str(len(get.body))]


async def test_slurmrestd_never_sees_a_head(house: House) -> None:
    await house.ask("HEAD", PING, fakes.bearer(await house.token()))
    assert [request.line for request in house.slurm.seen] == [f"GET {PING} HTTP/1.1"]


async def test_the_next_answer_on_the_connection_is_found(house: House) -> None:
    known = fakes.bearer(await house.token())
    reader, writer = await house.connect()
    writer.write(fakes.encode("HEAD", PING, known, close=False) + fakes.encode("GET", PING, known))
    status, fields = await fakes.read_head(reader)
    answer = await fakes.read_answer(reader)
    writer.close()
    assert (status, dict(fields)["content-length"], answer.status, answer.body) == (200, str(len(fakes.OK)), 200, fakes.OK)


async def test_a_head_of_a_large_answer_does_not_fetch_it(house: House) -> None:
    house.slurm.behaviour = LARGE
    head = await house.ask("HEAD", JOBS, fakes.bearer(await house.token()))
    await fakes.until(lambda: house.slurm.open == 0)
    assert (head.status, head.field("content-length"), head.body) == (200, "157286400", b"")


@pytest.mark.parametrize("target", ["/auth/session", "/auth/sessions", "/auth/tokens", "/auth/totp", "/health/live"])
async def test_our_own_paths_have_a_head_too(house: House, target: str) -> None:
    get, head = await both(house, target, fakes.bearer(await house.token()))
    assert (told(head), head.body, get.status) == (told(get), b"", 200)
    assert int(str(head.field("content-length"))) == len(get.body) > 0


async def test_a_head_hands_no_token_out(build: Build) -> None:
    house = await build(server={"verify": True})
    head = await house.ask("HEAD", "/auth/verify", fakes.bearer(await house.token()))
    assert (head.status, head.field("x-slurm-user-token")) == (405, None)


@pytest.mark.parametrize("target", CHANGING)
async def test_what_changes_something_has_no_head(house: House, target: str) -> None:
    head = await house.ask("HEAD", target, fakes.bearer(await house.token()))
    assert (head.status, head.field("allow"), house.slurm.seen) == (405, "GET, POST, DELETE, OPTIONS", [])
    assert [(line["event"], line["method"], line["status"]) for line in await house.audit()] == [("refusal", "HEAD", 405)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nobody_is_told_more_by_a_head_than_by_a_get(house: House, method: str) -> None:
    targets = [PING, *CHANGING, "/auth/session", "/auth/tokens", "/clusters/other/slurm/v0.0.38/ping"]
    statuses = [(await house.ask(method, target)).status for target in targets]
    assert (statuses, house.slurm.seen) == ([401] * len(targets), [])


async def test_the_policy_judges_a_head_as_the_get_that_it_is(build: Build) -> None:
    rule = {"name": "all-but-jobs", "effect": "allow", "methods": ["GET"], "paths": ["/slurm/*/ping"]}
    house = await build(policy={"rules": [rule]})
    known = fakes.bearer(await house.token())
    assert [(await house.ask("HEAD", target, known)).status for target in (PING, JOBS)] == [200, 403]


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 200), (["GET /slurm/*/ping"], 200), (["submit"], 403), (["POST /slurm/**"], 403)])
async def test_a_token_may_look_at_the_head_of_what_it_may_read(house: House, scopes: list[str], status: int) -> None:
    asked = json.dumps({"name": "ci", "scopes": scopes}).encode()
    made = await house.ask("POST", "/auth/tokens", fakes.bearer(await house.token()), asked)
    assert (await house.ask("HEAD", PING, fakes.bearer(str(made.json["token"])))).status == status


async def test_a_head_is_a_read_to_the_audit_trail(house: House) -> None:
    house.slurm.behaviour = fakes.FINE
    await house.ask("HEAD", PING, fakes.bearer(await house.token()))
    assert await house.audit() == []


async def test_a_head_with_a_code_is_a_sign_in_as_any_other(house: House) -> None:
    head = await house.ask("HEAD", PING, fakes.basic("alice", otp=await house.code()))
    again = await house.ask("HEAD", PING, fakes.basic("alice", otp="000000"))
    assert (head.status, again.status, [line["event"] for line in await house.audit()]) == (200, 401, ["sign_in", "refusal"])


async def test_a_head_whose_client_goes_away_is_given_up(house: House) -> None:
    house.slurm.behaviour = fakes.hangs()
    _, writer = await house.connect()
    writer.write(fakes.encode("HEAD", PING, fakes.bearer(await house.token())))
    await fakes.until(lambda: house.slurm.open == 1)
    writer.close()
    await fakes.until(lambda: house.slurm.open == 0)


async def test_a_head_with_a_body_is_refused(house: House) -> None:
    head = await house.ask("HEAD", PING, fakes.bearer(await house.token()), b"{}")
    assert (head.status, house.slurm.seen) == (400, [])


OPTIONS: dict[str, tuple[int, str | None]] = {
    PING: (204, "GET, HEAD, POST, DELETE, OPTIONS"),
    "//slurm//v0.0.38/%70ing/": (204, "GET, HEAD, POST, DELETE, OPTIONS"),
    "/slurm/v0.0.40/reconfigure": (204, "GET, POST, DELETE, OPTIONS"),
    "/clusters/whatever/slurm/v0.0.38/ping": (204, "GET, HEAD, POST, DELETE, OPTIONS"),
    "/events": (204, "GET, HEAD, OPTIONS"),
    "/clusters/main/events": (204, "GET, HEAD, OPTIONS"),
    "/openapi/v3": (204, "GET, HEAD, POST, DELETE, OPTIONS"),
    "/auth/login": (204, "POST, OPTIONS"),
    "/auth/session": (204, "GET, DELETE, HEAD, OPTIONS"),
    "/auth/tokens/" + "0" * 32: (204, "DELETE, OPTIONS"),
    "/health/live": (204, "GET, HEAD, OPTIONS"),
    "/nowhere": (404, None),
    "/slurm/../auth/login": (400, None),
    "*": (400, None),
}


async def test_options_tells_what_a_path_takes_and_asks_nobody(house: House) -> None:
    known = fakes.bearer(await house.token())
    for fields in ([], known, fakes.basic("alice", otp="000000")):
        answers = {target: await house.ask("OPTIONS", target, fields) for target in OPTIONS}
        assert {target: (answer.status, answer.field("allow")) for target, answer in answers.items()} == OPTIONS
        assert {answer.body for answer in answers.values() if answer.status == 204} == {b""}
    assert (house.slurm.seen, house.directory.asked) == ([], [])


async def test_options_is_nothing_that_the_audit_trail_would_tell(house: House) -> None:
    await asyncio.gather(*(house.ask("OPTIONS", target) for target in (PING, "/auth/login")))
    assert await house.audit() == []
