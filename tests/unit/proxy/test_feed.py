from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pytest

from gateway.config import Events
from gateway.errors import Refusal, UpstreamUnreachable
from gateway.proxy.feed import Feed, Feeds, Listener, Seen
from gateway.slurm.body import Body
from gateway.slurm.news import EVERYTHING, News, States, Told
from tests.web.fakes import until

STAMP = "0123456789abcdef"


def settings(**more: Any) -> Events:
    return Events.model_validate({"interval": "5ms", **more})


class FakeEyes:
    """Eyes before which a list changes: each change is one number, and a job's state is the number of the change."""

    def __init__(self) -> None:
        self.changes = 0
        self.looks: list[Listener] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = itertools.count(100)
        self.floors: list[float] = []

    async def look(self, listener: Listener, newer_than: float) -> Seen:
        self.looks.append(listener)
        self.floors.append(newer_than)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        began = float(next(self.began))
        return Seen(body=_body(self.changes), etag=str(self.changes), began=began, ended=began + 0.5)

    async def news(self, before: Body | None, body: Body, asked: Iterable[int]) -> News:
        since = self.changes if before is None else int(before.data)
        page = msgspec.msgpack.encode([_told(number) for number in range(since + 1, self.changes + 1)])
        return News(body, () if since == self.changes else (page,), await self.states(body, asked))

    async def states(self, snapshot: Body, asked: Iterable[int]) -> dict[int, States]:
        return {job_id: ((snapshot.data.decode(),),) for job_id in asked}


def _body(number: int) -> Body:
    data = str(number).encode()
    return Body(data=data, compressed=False, size=len(data))


def _told(number: int) -> Told:
    return Told(event="job", job_id=number, array_job_id=None, user="alice", partitions=(), states=(), data=b"%d" % number)


@pytest.fixture
def eyes() -> FakeEyes:
    return FakeEyes()


@pytest.fixture
async def feed(eyes: FakeEyes) -> AsyncIterator[Feed]:
    made = Feed(eyes, settings(), stamp=STAMP)
    yield made
    for listener in list(made.listeners):
        made.leave(listener)


def told(feed: Feed, after: int = 0) -> list[int]:
    text = b"".join(piece.data for piece in feed.history.after(after, EVERYTHING))
    return [int(line.removeprefix(b"data: ")) for line in text.split(b"\n") if line.startswith(b"data: ")]


async def test_nobody_listens_and_nobody_looks(feed: Feed, eyes: FakeEyes) -> None:
    listener = Listener()
    feed.join(listener)
    await until(lambda: len(eyes.looks) > 2)
    feed.leave(listener)
    looks = len(eyes.looks)
    await asyncio.sleep(0.05)
    assert len(eyes.looks) == looks
    assert not feed.is_live


async def test_what_was_there_before_is_not_told_and_what_comes_is(feed: Feed, eyes: FakeEyes) -> None:
    eyes.changes = 3
    feed.join(Listener())
    await until(lambda: feed.is_live)
    assert told(feed) == []
    eyes.changes = 5
    await until(lambda: told(feed) == [4, 5])


async def test_many_listeners_cost_as_many_looks_as_one(feed: Feed, eyes: FakeEyes) -> None:
    listeners = [Listener() for _ in range(500)]
    eyes.gate.clear()
    for listener in listeners:
        feed.join(listener)
    await until(lambda: eyes.looks)
    await asyncio.sleep(0.02)
    assert len(eyes.looks) == 1
    eyes.changes = 1
    eyes.gate.set()
    await asyncio.gather(*(asyncio.wait_for(listener.sleep(5), 5) for listener in listeners))


async def test_a_listener_sleeps_until_there_is_something(feed: Feed, eyes: FakeEyes) -> None:
    listener = Listener()
    feed.join(listener)
    await listener.sleep(5)
    asleep = asyncio.create_task(listener.sleep(5))
    looks = len(eyes.looks)
    await until(lambda: len(eyes.looks) > looks + 3)
    assert not asleep.done()
    eyes.changes += 1
    await asyncio.wait_for(asleep, 2)


async def test_a_listener_that_is_woken_before_it_sleeps_misses_nothing() -> None:
    listener = Listener()
    listener.wake()
    await asyncio.wait_for(listener.sleep(60), 1)
    await asyncio.wait_for(listener.sleep(0.01), 1)
    await asyncio.wait_for(listener.sleep(-1), 1)


async def test_the_first_reason_to_end_stays() -> None:
    listener = Listener()
    first, second = Refusal("first"), Refusal("second")
    listener.end(first)
    listener.end(second)
    assert listener.ended is first


async def test_when_one_who_was_looked_for_leaves_another_is(feed: Feed, eyes: FakeEyes) -> None:
    one, other = Listener(), Listener()
    feed.join(one)
    feed.join(other)
    await until(lambda: eyes.looks)
    feed.leave(one)
    looks = len(eyes.looks)
    await until(lambda: len(eyes.looks) > looks + 1)
    assert eyes.looks[-1] is other


async def test_nothing_is_looked_at_with_the_eyes_of_one_who_is_to_leave(feed: Feed, eyes: FakeEyes) -> None:
    one, other = Listener(), Listener()
    one.end(Refusal("gone"))
    feed.join(one)
    feed.join(other)
    await until(lambda: len(eyes.looks) > 2)
    assert set(eyes.looks) == {other}


async def test_trouble_is_said_once_and_its_end_and_what_happened_meanwhile(feed: Feed, eyes: FakeEyes) -> None:
    feed.join(Listener())
    await until(lambda: feed.is_live)
    eyes.failure = UpstreamUnreachable("down")
    await until(lambda: feed.trouble is not None)
    first = feed.trouble
    looks = len(eyes.looks)
    eyes.changes = 7
    await until(lambda: len(eyes.looks) > looks + 1)
    assert feed.trouble is first
    assert told(feed) == []
    eyes.failure = None
    await until(lambda: feed.trouble is None)
    assert told(feed) == [1, 2, 3, 4, 5, 6, 7]


async def test_who_looked_in_vain_is_not_the_next_to_look(feed: Feed, eyes: FakeEyes) -> None:
    eyes.failure = UpstreamUnreachable("for that one")
    one, other = Listener(), Listener()
    feed.join(one)
    feed.join(other)
    await until(lambda: len(eyes.looks) >= 2)
    assert eyes.looks[:2] == [one, other]


async def test_a_defect_is_trouble_and_not_the_end(feed: Feed, eyes: FakeEyes) -> None:
    eyes.failure = ValueError("unforeseen")
    feed.join(Listener())
    await until(lambda: feed.trouble is not None)
    eyes.failure = None
    await until(lambda: feed.is_live and feed.trouble is None)


async def test_a_slow_look_is_told(eyes: FakeEyes) -> None:
    feed = Feed(eyes, settings(heartbeat="20ms"), stamp=STAMP)
    eyes.gate.clear()
    listener = Listener()
    feed.join(listener)
    await until(lambda: feed.trouble is not None)
    assert feed.trouble is not None
    assert feed.trouble.reason == "upstream_slow"
    eyes.gate.set()
    await until(lambda: feed.trouble is None)
    feed.leave(listener)


async def test_a_job_is_looked_up_at_once_for_whoever_asks(eyes: FakeEyes) -> None:
    feed = Feed(eyes, settings(interval="60s"), stamp=STAMP)
    listener = Listener()
    feed.join(listener)
    await until(lambda: feed.is_live)
    feed.ask(7, 50.0)
    await until(lambda: feed.states_of(7) == (("0",),))
    assert eyes.floors == [-1.0, 50.0]
    feed.ask_no_more(7)
    assert feed.states_of(7) is None
    feed.leave(listener)


async def test_two_who_ask_about_a_job_ask_independently(feed: Feed, eyes: FakeEyes) -> None:
    feed.join(Listener())
    feed.ask(7, 0.0)
    feed.ask(7, 0.0)
    feed.ask_no_more(7)
    eyes.changes = 1
    await until(lambda: feed.states_of(7) == (("1",),))
    feed.ask_no_more(7)
    assert feed.states_of(7) is None


async def test_a_look_that_only_confirms_wakes_those_who_asked_for_a_later_one(eyes: FakeEyes) -> None:
    feed = Feed(eyes, settings(interval="60s"), stamp=STAMP)
    listener = Listener()
    feed.join(listener)
    feed.ask(7, 0.0)
    await until(lambda: feed.states_of(7) is not None)
    began = feed.began
    listener._news = False
    feed.want(began + 0.25)
    await asyncio.wait_for(listener.sleep(30), 5)
    assert feed.began > began
    feed.ask_no_more(7)
    feed.leave(listener)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_who_comes_back_in_time_finds_what_happened_meanwhile(eyes: FakeEyes) -> None:
    clock = Clock()
    stamps = iter(["a" * 16, "b" * 16])
    feeds = Feeds(settings(keep="100s"), lambda: next(stamps), clock)
    first = Listener()
    feed = feeds.join("view", first, lambda: eyes)
    await until(lambda: feed.is_live)
    feeds.leave("view", first)
    assert feeds.find("view") is None
    eyes.changes = 2
    clock.now += 99
    again = feeds.join("view", Listener(), lambda: eyes)
    assert again is feed
    assert feeds.find("view") is feed
    await until(lambda: told(feed) == [1, 2])
    for listener in list(feed.listeners):
        feeds.leave("view", listener)
    clock.now += 101
    other = feeds.join("view", last := Listener(), lambda: eyes)
    assert other is not feed
    feeds.leave("view", last)


async def test_few_feeds_are_kept_for_those_who_may_come_back(eyes: FakeEyes) -> None:
    feeds = Feeds(settings(), lambda: STAMP)
    for number in range(150):
        listener = Listener()
        feeds.join(number, listener, lambda: eyes)
        feeds.leave(number, listener)
    assert len(feeds) == 100


async def test_those_who_see_differently_have_feeds_of_their_own(eyes: FakeEyes) -> None:
    feeds = Feeds(settings(), lambda: STAMP)
    one, other = Listener(), Listener()
    assert feeds.join("alice", one, lambda: eyes) is not feeds.join("bob", other, lambda: eyes)
    feeds.leave("alice", one)
    feeds.leave("bob", other)
