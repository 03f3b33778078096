"""The frame around every handler: what it puts on an answer, and what it does when something fails. The way through it is in tests/web."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiohttp import web

from gateway.config import Cors as CorsSettings
from gateway.config import Server
from gateway.errors import AuditUnavailable, CodeOutOfStep, CredentialsRefused, NotPermitted
from gateway.observe.audit import AuditTrail, Event
from gateway.observe.audit.folding import Folding
from gateway.observe.metrics import Metrics
from gateway.policy.path import Target
from gateway.web.context import Context
from gateway.web.cors import Cors
from gateway.web.front import FrontDoor
from gateway.web.slurm import SlurmHandler
from tests.unit.web.conftest import Make

Before = Callable[[web.StreamResponse], Awaitable[None]]


@dataclass
class Inside:
    """The handler behind the door and the trail: one does what it is told, the other remembers or fails."""

    act: Callable[[Context], web.StreamResponse]
    trail_fails: bool = False
    refusal_time: float = 0.001
    events: list[Event] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    async def handle(self, context: Context, _target: Target, _before: Before) -> web.StreamResponse:
        return self.act(context)

    async def write(self, event: Event) -> None:
        if self.trail_fails:
            raise AuditUnavailable("audit: full")
        self.events.append(event)

    def door(self) -> FrontDoor:
        return FrontDoor(
            own=(),
            proxied=cast("SlurmHandler", self),
            audit=cast("AuditTrail", self),
            metrics=self.metrics,
            settings=Server.model_validate({"listen": "unix:/run/gateway.sock"}),
            log_reads=False,
            refusal_time=self.refusal_time,
            folding=Folding(3),
            cors=Cors(CorsSettings()),
        )

    def value(self, name: str) -> float:
        told = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in self.metrics.exposition().decode().splitlines()}
        return float(told.get(name, "0"))


def fine(_context: Context) -> web.Response:
    return web.Response(text="fine")


def changes(context: Context) -> web.Response:
    context.changes, context.username, context.job_id = True, "alice", 7
    return web.Response(text="done")


def refuses(_context: Context) -> web.Response:
    raise NotPermitted("the cause")


def fails(_context: Context) -> web.Response:
    raise KeyError("a defect")


def leaves(_context: Context) -> web.Response:
    raise ConnectionResetError


PATH = "/slurm/v0.0.38/ping"


@pytest.mark.parametrize(("act", "status"), [(fine, 200), (changes, 200), (refuses, 403), (fails, 500)])
async def test_every_answer_carries_the_id_and_is_not_kept(make: Make, act: Callable[[Context], web.StreamResponse], status: int) -> None:
    response = await Inside(act).door().handle(make(target=PATH, fields=[("X-Request-ID", "i" * 32)]))
    kept = {name: response.headers[name] for name in ("X-Request-ID", "Cache-Control", "Server")}
    assert (response.status, kept) == (status, {"X-Request-ID": "i" * 32, "Cache-Control": "no-store", "Server": "slurm-gateway"})


async def test_what_changes_something_is_written_down_once(make: Make) -> None:
    inside = Inside(changes)
    await inside.door().handle(make("POST", PATH))
    assert [(event.event, event.user, event.job_id, event.status) for event in inside.events] == [("request", "alice", 7, 200)]


async def test_a_refusal_is_written_down_once_with_its_cause(make: Make) -> None:
    inside = Inside(refuses)
    await inside.door().handle(make("POST", PATH))
    assert [(event.event, event.reason, event.cause) for event in inside.events] == [("refusal", "not_permitted", "the cause")]


@pytest.mark.parametrize(("act", "status"), [(changes, 200), (refuses, 403)])
async def test_a_trail_that_fails_afterwards_does_not_change_the_answer(
    make: Make, act: Callable[[Context], web.StreamResponse], status: int
) -> None:
    assert (await Inside(act, trail_fails=True).door().handle(make("POST", PATH))).status == status


async def test_a_defect_shows_nothing_of_itself(make: Make) -> None:
    response = await Inside(fails).door().handle(make(target=PATH))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    assert (json.loads(response.body)["reason"], b"defect" in response.body) == ("internal_error", False)


async def test_a_client_that_went_away_is_counted_as_such(make: Make) -> None:
    inside = Inside(leaves)
    with pytest.raises(ConnectionResetError):
        await inside.door().handle(make(target=PATH))
    assert inside.value('slurm_gateway_requests_total{kind="slurm",method="GET",status="499"}') == 1


@pytest.mark.parametrize("act", [fine, refuses, fails])
async def test_afterwards_nothing_is_under_way(make: Make, act: Callable[[Context], web.StreamResponse]) -> None:
    inside = Inside(act)
    await inside.door().handle(make(target=PATH))
    assert inside.value("slurm_gateway_requests_under_way") == 0


async def test_an_odd_method_is_counted_under_a_word_of_ours(make: Make) -> None:
    inside = Inside(fine)
    await inside.door().handle(make("PROPFIND", PATH))
    assert inside.value('slurm_gateway_requests_total{kind="slurm",method="other",status="200"}') == 1


@pytest.mark.parametrize("refusal", [CredentialsRefused("code_wrong"), CodeOutOfStep("code_out_of_step")])
async def test_a_refusal_of_credentials_is_given_at_a_whole_multiple_of_the_refusal_time(make: Make, refusal: CredentialsRefused) -> None:
    def refuses_credentials(_context: Context) -> web.Response:
        raise refusal

    began = time.monotonic()
    await Inside(refuses_credentials, refusal_time=0.05).door().handle(make("POST", PATH))
    taken = time.monotonic() - began
    assert taken >= 0.05


async def test_other_answers_do_not_wait(make: Make) -> None:
    async with asyncio.timeout(5):
        assert (await Inside(refuses, refusal_time=60.0).door().handle(make("POST", PATH))).status == 403


async def test_what_a_stranger_is_refused_over_and_over_does_not_fill_the_trail(make: Make) -> None:
    inside = Inside(refuses)
    door = inside.door()
    for _ in range(10):
        assert (await door.handle(make("POST", PATH))).status == 403
    assert len(inside.events) == 3


async def test_a_guess_at_credentials_is_always_in_the_trail(make: Make) -> None:
    def guesses(_context: Context) -> web.Response:
        raise CredentialsRefused("password_refused")

    inside = Inside(guesses)
    door = inside.door()
    for _ in range(10):
        await door.handle(make("POST", PATH))
    assert len(inside.events) == 10
