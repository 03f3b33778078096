"""Browsers that come from pages of other origins: what they are told before and after, and what nobody gets by it."""

from __future__ import annotations

import asyncio

import pytest

from tests.web import fakes
from tests.web.conftest import Build, House

PAGE = "https://portal.example.org"
ORIGIN = ("Origin", PAGE)
FOREIGN = ("Origin", "https://portal.example.org.evil.example")
ASKS = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type")]
SUBMIT = "/slurm/v0.0.38/job/submit"
PING = "/slurm/v0.0.38/ping"
TARGETS = [SUBMIT, PING, "/clusters/main/slurm/v0.0.38/jobs", "/auth/login", "/auth/session", "/openapi/v3", "/nowhere"]


@pytest.fixture
async def open_house(build: Build) -> House:
    return await build(cors={"origins": [PAGE]}, reads={"enabled": True, "max_age": "60s"})


def may_read(answer: fakes.Answer) -> bool:
    """Tell whether a browser shows the answer to the page."""
    told = [answer.field(f"access-control-{name}") for name in ("allow-origin", "allow-credentials")]
    assert told in ([PAGE, "true"], [None, None])
    assert "Origin" in str(answer.field("vary"))
    return told[0] is not None


async def test_a_preflight_is_answered_without_credentials_and_not_forwarded(open_house: House) -> None:
    answers = [await open_house.ask("OPTIONS", target, [ORIGIN, *ASKS]) for target in TARGETS]
    assert [(answer.status, answer.body, may_read(answer), answer.field("access-control-max-age")) for answer in answers] == [
        (204, b"", True, "30")
    ] * len(TARGETS)
    assert (open_house.slurm.seen, await open_house.audit()) == ([], [])


async def test_a_preflight_of_a_foreign_page_is_refused_with_a_hint(open_house: House) -> None:
    answers = [await open_house.ask("OPTIONS", target, [FOREIGN, *ASKS]) for target in TARGETS]
    assert [(answer.status, may_read(answer)) for answer in answers] == [(403, False)] * len(TARGETS)
    assert "cors.origins" in str(answers[0].json["hint"])


async def test_without_listed_origins_a_preflight_is_an_options_like_any_other(house: House) -> None:
    answer = await house.ask("OPTIONS", SUBMIT, [ORIGIN, *ASKS])
    assert (answer.status, answer.field("access-control-allow-origin"), answer.field("vary")) == (204, None, None)


@pytest.mark.parametrize(("origin", "readable"), [(ORIGIN, True), (FOREIGN, False), (("Origin", "null"), False), (("X-Origin", PAGE), False)])
async def test_the_answers_that_a_page_gets_say_whether_it_may_read_them(open_house: House, origin: tuple[str, str], readable: bool) -> None:
    known = fakes.bearer(await open_house.token())
    calls = [
        ("GET", PING, known, None),
        ("GET", PING, known, None),  # what is kept
        ("HEAD", PING, known, None),
        ("POST", SUBMIT, [*known, ("Content-Type", "application/json")], b"{}"),
        ("GET", PING, [], None),  # 401
        ("GET", "/nowhere", [], None),
        ("PUT", PING, known, None),
        ("GET", "/auth/session", known, None),
        ("POST", "/auth/login", [], b"no json"),
        ("GET", "/slurm/../x", known, None),
        ("GET", "/health/live", [], None),
        ("OPTIONS", PING, [], None),
    ]
    answers = [await open_house.ask(method, target, [*fields, origin], body) for method, target, fields, body in calls]
    assert [may_read(answer) for answer in answers] == [readable] * len(calls)
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 401, 404, 405, 200, 400, 400, 200, 204]


async def test_a_large_answer_says_so_too(build: Build) -> None:
    house = await build(cors={"origins": [PAGE]})
    house.slurm.behaviour = fakes.replies(fakes.http(200, b"x" * 300_000))
    answer = await house.ask("GET", "/slurm/v0.0.38/jobs", [*fakes.bearer(await house.token()), ORIGIN])
    assert (may_read(answer), len(answer.body)) == (True, 300_000)


async def test_what_is_kept_for_one_page_says_nothing_of_it_to_another(open_house: House) -> None:
    known = fakes.bearer(await open_house.token())
    first, second, third = [await open_house.ask("GET", PING, [*known, *more]) for more in ([ORIGIN], [FOREIGN], [])]
    assert [may_read(answer) for answer in (first, second, third)] == [True, False, False]
    assert (second.field("x-cache"), len(open_house.slurm.seen)) == ("hit", 1)


async def test_a_page_gets_nowhere_without_a_token_and_a_preflight_opens_nothing(open_house: House) -> None:
    """Neither a simple request (Fetch, section 3.3.1) nor a pre-flight before it does anything for whoever has no token."""
    for origin in (ORIGIN, FOREIGN):
        await open_house.ask("OPTIONS", SUBMIT, [origin, *ASKS, *fakes.bearer(await open_house.token())])
        answer = await open_house.ask("POST", SUBMIT, [origin, ("Content-Type", "text/plain"), ("Cookie", "token=sgw_x")], b'{"job": {}}')
        assert answer.status == 401
    assert open_house.slurm.seen == []


async def test_preflights_cannot_fill_the_audit_trail(build: Build) -> None:
    house = await build(cors={"origins": [PAGE]}, audit={"refusals_a_minute": 3})
    await asyncio.gather(*(house.ask("OPTIONS", SUBMIT, [FOREIGN, *ASKS]) for _ in range(20)))
    assert len(await house.audit()) <= 3
