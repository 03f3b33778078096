"""How a cluster's jobs are looked at. What comes of it is in tests/web/test_events.py."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.config import Views
from gateway.errors import Refusal, SlurmRefusedGateway, Unavailable, UpstreamBroken, UpstreamUnreachable
from gateway.proxy.feed import Listener
from gateway.proxy.packing import TooLargeToKeep
from gateway.proxy.shared import Found, Kept, Key, Other, Rendered, Representation
from gateway.proxy.workshop import Workshop
from gateway.slurm.body import Body, pack
from gateway.slurm.views.reply import ListTooLarge
from gateway.web import eyes
from gateway.web.call import Call, ClusterAccess
from gateway.web.carrying import Answer, Carrier
from gateway.web.eyes import Sight
from gateway.web.reads import Reads
from tests.unit.slurm import lists
from tests.unit.web.conftest import Make
from tests.unit.web.guests import guest
from tests.unit.web.test_call import call

OPENAPI = json.dumps({"paths": {"/slurm/v0.0.39/jobs": {}, "/slurm/v0.0.40/jobs": {}}}).encode()
LIST = lists.answer(40, "jobs", [lists.job(40, 7)])


@dataclass
class World:
    """Reads, carrier and workshop in one: what each path answers, and what was asked."""

    answers: dict[str, bytes | int | Exception] = field(default_factory=dict)
    asked: list[tuple[str, str, float]] = field(default_factory=list)
    refuses_token: bool = False

    async def look_up(self, asked: Call, *, newer_than: float = 0.0) -> Found[Answer]:
        self.asked.append((asked.path, asked.username, newer_than))
        answer = self.answers[asked.path]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return Found(how="miss", other=Other(answer=Answer(status=answer, headers={}, content=b"")))
        key = Key(cluster="main", owner="", path=asked.path, query="", accept=None)
        kept = Kept(key=key, since=None, began=5.0, ended=6.0, size=1)
        made = Rendered(body=pack(answer), content_type="application/json")
        kept.whole = Representation(made, etag='W/"x"', threads=cast("Any", None), most=0, grown=lambda _: None)
        return Found(how="miss", kept=kept)

    async def judge(self, _call: Call, _head: object, _answer: Answer) -> None:
        if self.refuses_token:
            raise SlurmRefusedGateway("the token")

    async def run(self, work: Any, *given: Any, **_more: Any) -> Any:
        return work(*given)


@pytest.fixture
def world() -> World:
    return World(answers={"/openapi/v3": OPENAPI, "/slurm/v0.0.40/jobs": LIST})


def sight(world: World, make: Make) -> Sight:
    access: ClusterAccess = call(make).access
    return Sight(
        cluster="main", access=access, reads=cast("Reads", world), carrier=cast("Carrier", world), workshop=cast("Workshop", world), views=Views()
    )


async def test_the_list_is_looked_at_in_the_newest_version_with_the_listeners_name(world: World, make: Make) -> None:
    made = sight(world, make)
    seen = await made.see(guest(make, "bob"), 3.0)
    assert (seen.etag, seen.began, seen.ended, seen.body.size) == ('W/"x"', 5.0, 6.0, len(LIST))
    await made.see(guest(make, "bob"), 4.0)
    assert world.asked == [("/openapi/v3", "bob", 0.0), ("/slurm/v0.0.40/jobs", "bob", 3.0), ("/slurm/v0.0.40/jobs", "bob", 4.0)]


async def test_versions_that_are_known_are_believed_when_they_cannot_be_asked_for(world: World, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.eyes._VERSIONS_FOR", -1.0)
    made, one = sight(world, make), guest(make)
    await made.jobs_path(one.context, one.identity)
    world.answers["/openapi/v3"] = UpstreamUnreachable("down")
    assert await made.jobs_path(one.context, one.identity) == "/slurm/v0.0.40/jobs"


@pytest.mark.parametrize("answer", [404, b"{}"])
async def test_an_older_release_has_its_document_elsewhere(world: World, make: Make, answer: Any) -> None:
    world.answers |= {"/openapi/v3": answer, "/openapi": OPENAPI}
    one = guest(make)
    assert await sight(world, make).jobs_path(one.context, one.identity) == "/slurm/v0.0.40/jobs"


@pytest.mark.parametrize(("answer", "kind"), [(UpstreamUnreachable("down"), UpstreamUnreachable), (500, Unavailable), (b"{}", Unavailable)])
async def test_without_versions_there_is_nothing_to_look_at(world: World, make: Make, answer: Any, kind: type[Refusal]) -> None:
    world.answers |= {"/openapi/v3": answer, "/openapi": answer}
    with pytest.raises(kind):
        await sight(world, make).see(guest(make), 0.0)


@pytest.mark.parametrize(
    ("answer", "kind"), [(TooLargeToKeep(), ListTooLarge), (500, UpstreamBroken), (UpstreamUnreachable("down"), UpstreamUnreachable)]
)
async def test_a_list_that_is_not_to_be_had_is_a_refusal(world: World, make: Make, answer: Any, kind: type[Refusal]) -> None:
    world.answers["/slurm/v0.0.40/jobs"] = answer
    with pytest.raises(kind):
        await sight(world, make).see(guest(make), 0.0)


async def test_a_token_that_slurm_refuses_is_not_taken_for_a_missing_list(world: World, make: Make) -> None:
    world.answers["/slurm/v0.0.40/jobs"], world.refuses_token = 500, True
    with pytest.raises(SlurmRefusedGateway):
        await sight(world, make).see(guest(make), 0.0)


async def test_the_states_of_one_job_are_what_a_get_of_it_says(world: World, make: Make) -> None:
    made, one = sight(world, make), guest(make)
    path = "/slurm/v0.0.40/job/7"
    asked = made.glance(one.context, one.identity, path)
    for answer, expected in ((LIST, (("RUNNING",),)), (404, ())):
        world.answers[path] = answer
        assert await made.states(asked, 7, 2.0) == expected
    assert world.asked[-1] == (path, "alice", 2.0)


async def test_a_large_answer_about_one_job_is_taken_apart_elsewhere(world: World, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, one, done = sight(world, make), guest(make), []
    real = world.run

    async def run(work: Any, *given: Any, **more: Any) -> Any:
        done.append(work.__name__)
        return await real(work, *given, **more)

    monkeypatch.setattr(world, "run", run)
    tasks = [lists.job(40, number, array_job_id=lists.number(40, 7)) for number in range(7, 300)]
    world.answers["/slurm/v0.0.40/job/7"] = lists.answer(40, "jobs", tasks)
    assert len(await made.states(made.glance(one.context, one.identity, "/slurm/v0.0.40/job/7"), 7, 0.0)) == 293
    assert done == ["states_in"]


async def test_eyes_see_news_and_states_for_their_owner(world: World, make: Make) -> None:
    eyes = sight(world, make).eyes("bob")
    first = await eyes.news(None, pack(lists.answer(40, "jobs", [])), [])
    now: Body = pack(lists.answer(40, "jobs", [lists.job(40, 7), lists.job(40, 8, user_name="bob")]))
    news = await eyes.news(first.snapshot, now, [7])
    assert (len(news.pages), news.states) == (1, {7: (("RUNNING",),)})
    assert await eyes.states(news.snapshot, [8]) == {8: (("RUNNING",),)}
    with pytest.raises(TypeError):
        await eyes.look(Listener(), 0.0)


async def test_nobody_waits_for_long_for_somebody_elses_question(world: World, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sight(world, make)
    monkeypatch.setattr(eyes, "_PATIENCE", 0.02)
    read, never = made._read, asyncio.Event()

    async def slow_for_alice(asked: Call, newer_than: float) -> tuple[Body, str, float, float]:
        if asked.username == "alice":
            await never.wait()
        return await read(asked, newer_than)

    monkeypatch.setattr(made, "_read", slow_for_alice)
    stuck = [asyncio.create_task(made.jobs_path(one.context, one.identity)) for one in (guest(make), guest(make))]
    await asyncio.sleep(0)
    bob = guest(make, "bob")
    assert await asyncio.wait_for(made.jobs_path(bob.context, bob.identity), 5) == "/slurm/v0.0.40/jobs"
    made._served_until = 0.0
    late = asyncio.create_task(made.jobs_path(guest(make).context, guest(make).identity))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(made.jobs_path(bob.context, bob.identity), 5) == "/slurm/v0.0.40/jobs"
    for task in (*stuck, late):
        task.cancel()
    await asyncio.gather(*stuck, late, return_exceptions=True)


async def test_many_who_listen_leave_the_workshop_room_for_others(world: World, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, under_way, most, users = sight(world, make), 0, 0, set()

    async def run(work: Any, *given: Any, user: str) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        users.add(user)
        await asyncio.sleep(0)
        under_way -= 1
        return work(*given)

    monkeypatch.setattr(world, "run", run)
    await asyncio.gather(*(made.eyes(f"u{n}").news(None, pack(LIST), []) for n in range(40)))
    assert (most, len(users)) == (eyes._AT_ONCE, 40)
