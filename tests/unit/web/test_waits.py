"""What a wait goes through is in tests/web/test_events.py; here is what becomes of one by what is seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from aiohttp import web

from gateway.errors import BadRequest
from gateway.proxy.recency import Recency
from gateway.slurm.waiting import Wait
from gateway.web.call import Call
from gateway.web.company import Company
from gateway.web.reads import Reads
from gateway.web.waits import Waits, _One
from tests.unit.web.conftest import Make
from tests.unit.web.guests import guest
from tests.unit.web.test_call import call

P, R, C = (("PENDING",),), (("RUNNING",),), (("COMPLETED",),)


def one(make: Make, until: str = "finished") -> _One:
    return _One(call(make), Wait(job_id=7, seconds=60, until=until, query=""), guest(make), after=0.0)


def test_what_is_waited_for_is_met(make: Make) -> None:
    made = one(make)
    made.judge(R, seen_at=1.0)
    assert (made.end, made.is_known, made.seen_at) == (None, True, 0.0)
    made.judge(C, seen_at=2.0)
    assert (made.end, made.seen_at) == ("met", 2.0)


def test_a_change_is_one_from_what_was_seen_first(make: Make) -> None:
    made = one(make, "changed")
    for states, end in ((P, None), (P, None), (R, "met")):
        made.judge(states, seen_at=1.0)
        assert made.end == end


def test_a_job_that_is_not_there_is_over(make: Make) -> None:
    made = one(make)
    made.judge((), seen_at=3.0)
    assert (made.end, made.seen_at) == ("over", 3.0)


@dataclass
class Answers:
    """Reads that are answered at once."""

    calls: list[tuple[str, float]] = field(default_factory=list)

    async def answer(self, asked: Call, *, newer_than: float = 0.0) -> web.StreamResponse:
        self.calls.append((asked.query, newer_than))
        return web.Response()


async def test_a_read_that_does_not_ask_to_wait_is_passed_on_as_it_is(make: Make) -> None:
    answers = Answers()
    waits = Waits(longest=60, company=cast("Company", None), reads=cast("Reads", answers), recency=Recency())
    response = await waits.answer(call(make))
    assert (answers.calls, response.headers.get("X-Gateway-Waited")) == ([("flags=ALL", 0.0)], None)


async def test_a_wait_that_makes_no_sense_is_refused(make: Make) -> None:
    waits = Waits(longest=60, company=cast("Company", None), reads=cast("Reads", Answers()), recency=Recency())
    asked = call(make)
    object.__setattr__(asked, "path", "/slurm/v0.0.38/job/7")
    object.__setattr__(asked, "query", "wait=61")
    with pytest.raises(BadRequest):
        await waits.answer(asked)


async def test_a_large_answer_says_in_its_head_why_it_comes_now(make: Make) -> None:
    class Streaming(Answers):
        async def answer(self, asked: Call, *, newer_than: float = 0.0) -> web.StreamResponse:
            del newer_than
            response = web.StreamResponse()
            await asked.before_stream(response)
            heads.append(dict(response.headers))
            return response

    async def before_stream(response: web.StreamResponse) -> None:
        response.headers["X-Before"] = "once"

    heads: list[dict[str, str]] = []
    waits = Waits(longest=60, company=cast("Company", None), reads=cast("Reads", Streaming()), recency=Recency())
    made = _One(replace(call(make), before_stream=before_stream), one(make).wait, guest(make), after=0.0)
    await waits._fetch(made)
    assert heads == [{"X-Before": "once", "X-Gateway-Waited": "timeout"}]
