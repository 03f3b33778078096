"""How a stream is written. Who gets which is in tests/web/test_events.py."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.config import Events
from gateway.errors import UpstreamUnreachable
from gateway.proxy.feed import Eyes, Feed
from gateway.slurm.news import Choice, Told
from gateway.web.choosing import Wish
from gateway.web.company import View
from gateway.web.events import _Stream
from tests.unit.web.conftest import Make
from tests.unit.web.guests import guest

STAMP = "0" * 16
VIEW = View(cluster="main", owner="")


class Sheet:
    """What was written."""

    def __init__(self) -> None:
        self.text = b""

    async def write(self, data: bytes) -> None:
        self.text += data

    def taken(self) -> list[tuple[str, Any]]:
        """Return the types and the data of the events since this was last asked."""
        text, self.text = self.text.decode(), b""
        found = []
        for block in text.split("\n\n")[:-1]:
            told = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((told.get("event", ""), json.loads(told["data"])))
        return found


@pytest.fixture
def sheet() -> Sheet:
    return Sheet()


@pytest.fixture
def feed() -> Feed:
    return Feed(cast("Eyes", None), Events(), stamp=STAMP)


def stream(make: Make, sheet: Sheet, last_event_id: str | None = None, choice: Choice | None = None) -> _Stream:
    return _Stream(cast("web.StreamResponse", sheet), guest(make), Wish(choice=choice or Choice(), last_event_id=last_event_id), 5.0)


def tell(feed: Feed, *numbers: int) -> None:
    told = [Told(event="job", job_id=number, array_job_id=None, user="alice", partitions=(), states=(), data=b"%d" % number) for number in numbers]
    feed.history.add(told, 0.0)


async def test_nothing_is_told_before_the_jobs_have_been_seen(make: Make, sheet: Sheet, feed: Feed) -> None:
    assert await stream(make, sheet).go_on(feed, VIEW) == 0
    assert sheet.text == b""


async def test_what_came_before_is_not_told_and_what_comes_is(make: Make, sheet: Sheet, feed: Feed) -> None:
    feed._fresh = True
    tell(feed, 1)
    made = stream(make, sheet)
    assert await made.go_on(feed, VIEW) == 0
    assert sheet.taken() == [("ready", {"cluster": "main", "jobs": "all", "resumed": False})]
    tell(feed, 2, 3)
    assert await made.go_on(feed, VIEW) == 2
    assert sheet.taken() == [("job", 2), ("job", 3)]
    assert await made.go_on(feed, VIEW) == 0


async def test_a_stream_goes_on_behind_the_last_event(make: Make, sheet: Sheet, feed: Feed) -> None:
    feed._fresh = True
    tell(feed, 1, 2)
    assert await stream(make, sheet, f"{STAMP}-1").go_on(feed, VIEW) == 1
    assert sheet.taken() == [("ready", {"cluster": "main", "jobs": "all", "resumed": True}), ("job", 2)]


async def test_what_cannot_be_resumed_begins_anew_from_now(make: Make, sheet: Sheet, feed: Feed) -> None:
    feed._fresh = True
    tell(feed, 1, 2)
    made = stream(make, sheet, "ffffffffffffffff-1")
    await made.go_on(feed, VIEW)
    [(event, data)] = sheet.taken()
    assert (event, data["reason"]) == ("reset", "unknown_id")
    tell(feed, 3)
    await made.go_on(feed, VIEW)
    assert sheet.taken() == [("job", 3)]


async def test_who_falls_behind_the_history_is_told_so(make: Make, sheet: Sheet) -> None:
    feed = Feed(cast("Eyes", None), Events.model_validate({"history": 1}), stamp=STAMP)
    feed._fresh = True
    made = stream(make, sheet)
    await made.go_on(feed, VIEW)
    sheet.taken()
    for at in (0.0, 100.0, 200.0):
        feed.history.add([Told(event="job", job_id=1, array_job_id=None, user=None, partitions=(), states=(), data=b"1")], at)
    await made.go_on(feed, VIEW)
    [(event, data)] = sheet.taken()
    assert (event, data["reason"]) == ("reset", "too_slow")


async def test_trouble_and_its_end_are_told_once(make: Make, sheet: Sheet, feed: Feed) -> None:
    feed._fresh = True
    made = stream(make, sheet)
    await made.go_on(feed, VIEW)
    sheet.taken()
    feed.trouble = UpstreamUnreachable("an inside cause")
    for _ in range(2):
        await made.go_on(feed, VIEW)
    [(event, data)] = sheet.taken()
    assert (event, data["reason"], "inside" in str(data)) == ("trouble", "upstream_unreachable", False)
    feed.trouble = None
    tell(feed, 1)
    await made.go_on(feed, VIEW)
    assert sheet.taken() == [("recovered", {}), ("job", 1)]


async def test_a_choice_is_kept_to(make: Make, sheet: Sheet, feed: Feed) -> None:
    feed._fresh = True
    made = stream(make, sheet, choice=Choice(jobs=frozenset({2})))
    await made.go_on(feed, VIEW)
    sheet.taken()
    tell(feed, 1, 2, 3)
    assert await made.go_on(feed, VIEW) == 1
    assert sheet.taken() == [("job", 2)]
