from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.config import Events
from gateway.errors import NotPermitted, Refusal, TokenRefused, TooManyCalls
from gateway.observe.metrics import Metrics
from gateway.policy.route import Route
from gateway.proxy.feed import Feeds, Seen
from gateway.sessions.sessions import Identity
from gateway.web import company as module
from gateway.web.authority import Authority
from gateway.web.company import Company, Stopping, View
from gateway.web.context import Context
from gateway.web.doorman import Doorman
from gateway.web.eyes import Gaze, Sight
from gateway.web.reads import Reads
from tests.unit.web.conftest import Make
from tests.unit.web.guests import PATH, guest, identity
from tests.web.fakes import until


@dataclass
class World:
    """Doorman, authority, sight and reads in one: what they say, and what they were asked."""

    refuses: Exception | None = None
    forbids: Refusal | None = None
    alike: bool = False
    looked_at: list[str] = field(default_factory=list)
    judged: list[Route] = field(default_factory=list)

    async def look_again(self, context: Context, now: float) -> Identity:
        self.looked_at.append(context.id)
        if self.refuses is not None:
            raise self.refuses
        return identity(second_factor_at=now)

    def permit(self, _context: Context, _identity: Identity, way: Route) -> None:
        self.judged.append(way)
        if self.forbids is not None:
            raise self.forbids

    def looks_alike(self, _cluster: str, _path: str) -> bool:
        return self.alike

    def eyes(self, _owner: str) -> Gaze:
        return cast("Gaze", self)

    async def look(self, _listener: object, _newer_than: float) -> Seen:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.01)


def company(world: World, **settings: Any) -> Company:
    events = Events.model_validate(settings)
    return Company(
        settings=events,
        doorman=cast("Doorman", world),
        authority=cast("Authority", world),
        sights={"main": cast("Sight", world)},
        reads=cast("Reads", world),
        feeds=Feeds(events, lambda: "0" * 16),
        metrics=Metrics(),
    )


async def test_who_is_let_in_counts_until_they_leave(make: Make) -> None:
    made = company(World(), listeners_per_user=2, listeners=3)
    with contextlib.ExitStack() as inside:
        for name in ("alice", "alice", "bob"):
            inside.enter_context(made.admit(guest(make, name), "stream"))
        assert len(made) == 3
        with pytest.raises(TooManyCalls) as refused, made.admit(guest(make, "carol"), "stream"):
            pass
        assert refused.value.cause == "listeners"
    assert len(made) == 0
    made.close()


async def test_one_person_takes_no_more_than_their_share(make: Make) -> None:
    made = company(World(), listeners_per_user=1)
    with made.admit(guest(make), "stream"):
        with pytest.raises(TooManyCalls) as refused, made.admit(guest(make), "wait"):
            pass
        assert (refused.value.cause, dict(refused.value.headers)) == ("listeners_per_user", {"Retry-After": "10"})
        with made.admit(guest(make, "bob"), "wait"):
            assert len(made) == 2
    made.close()


async def test_everybody_is_looked_at_again_and_is_who_they_are_now(make: Make) -> None:
    world = World()
    made, one = company(world), guest(make)
    with made.admit(one, "stream"):
        await until(lambda: one.identity.second_factor_at > 0)
        assert world.judged[0] == Route("main", PATH)
    made.close()


async def test_those_who_are_alike_are_looked_at_once(make: Make) -> None:
    world = World()
    made = company(world)
    with contextlib.ExitStack() as inside:
        for guest_ in [guest(make) for _ in range(20)] + [guest(make, "bob"), guest(make, judged_path="/slurm/v0.0.40/job/1")]:
            inside.enter_context(made.admit(guest_, "stream"))
        await until(lambda: len(world.looked_at) >= 3)
        await asyncio.sleep(0)
        assert len(set(world.looked_at)) == 3
    made.close()


@pytest.mark.parametrize(
    "world", [World(refuses=TokenRefused("ended")), World(forbids=NotPermitted("policy")), World(refuses=ValueError("a defect"))]
)
async def test_who_would_not_be_let_in_any_more_is_sent_away(make: Make, world: World) -> None:
    made, one = company(world), guest(make)
    with made.admit(one, "stream"):
        await until(lambda: one.ended is not None)
    assert one.ended is not None
    assert one.ended.reason in {"token_refused", "not_permitted", "internal_error"}
    made.close()


async def test_credentials_of_one_request_are_not_looked_at_again(make: Make) -> None:
    world = World(refuses=TokenRefused("ended"))
    made, one, other = company(world), guest(make, kind="one_shot", session_id=None), guest(make)
    with made.admit(one, "wait"), made.admit(other, "stream"):
        await until(lambda: other.ended is not None)
        assert one.ended is None
    made.close()


async def test_when_the_gateway_stops_all_leave_and_nobody_comes(make: Make) -> None:
    made, one = company(World()), guest(make)
    with made.admit(one, "stream"):
        made.stop()
        assert isinstance(one.ended, Stopping)
    with pytest.raises(Stopping), made.admit(guest(make), "stream"):
        pass
    made.close()


@pytest.mark.parametrize(("alike", "owner"), [(True, ""), (False, "alice")])
async def test_a_view_is_everybodys_or_ones_own(make: Make, alike: bool, owner: str) -> None:
    made, one = company(World(alike=alike)), guest(make)
    view = made.view(one, PATH)
    assert view == View(cluster="main", owner=owner)
    assert not made.is_listened_to(view)
    with made.listening(one, view):
        assert made.is_listened_to(view)
    assert not made.is_listened_to(view)


async def test_one_persons_answers_have_their_turns(make: Make) -> None:
    made, one = company(World()), guest(make)
    with made.admit(one, "wait"):
        turns = made.turns(one)
        for _ in range(4):
            assert not turns.locked()
            await turns.acquire()
        assert turns.locked()
    made.close()


def test_only_the_clusters_that_there_are_can_be_listened_to() -> None:
    made = company(World())
    assert ("main" in made.clusters, "other" in made.clusters) == (True, False)
    assert isinstance(made.sight("main"), World)
