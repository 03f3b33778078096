"""Who wakes a queue: events of jobs and of the folder, and what becomes of a stream that ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.client.errors import GatewayError, NoEventsError
from gateway.client.gateway import Gateway
from gateway.client.news import Event
from gateway.client.queue import watching
from gateway.client.queue.watching import FolderChanged, FolderWatch, Inbox, JobChanged, JobWatch, Listening, News, Stop
from tests.saying import TOKEN, Says, event, fake_gateway
from tests.unit.client.queue.fakes import refused

LIMIT = 10.0


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_FIRST", 0.01)
    monkeypatch.setattr(watching, "_LONGEST", 0.01)


def collect(inbox: Inbox, number: int) -> list[News]:
    """Return the first news, so many of them."""
    found: list[News] = []
    deadline = time.monotonic() + LIMIT
    while len(found) < number and time.monotonic() < deadline:
        found += inbox.wait(0.1)
    return found


class Stream:
    """A way that tells these events, and then raises, ends, or hangs until somebody hangs up."""

    def __init__(self, *events: Event, then: GatewayError | None = None, hangs: bool = False) -> None:
        self._events = events
        self._then = then
        self._hangs = hangs
        self._hung_up = threading.Event()
        self.users: list[str | None] = []

    def events(self, *, user: str | None = None) -> Iterator[Event]:
        self.users.append(user)
        yield from self._events
        if self._hangs:
            assert self._hung_up.wait(LIMIT)
        if self._then is not None:
            raise self._then

    def hang_up(self) -> None:
        self._hung_up.set()

    def close(self) -> None:
        pass


def ways(*streams: Stream) -> Callable[[], Stream]:
    left = list(streams)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


READY = Event(kind="ready", data={})


def watched(*streams: Stream, news: int) -> list[News]:
    inbox = Inbox()
    watch = JobWatch(inbox, ways(*streams), "carol")
    watch.start()
    try:
        return collect(inbox, news)
    finally:
        watch.close()
        assert not watch._thread.is_alive()


def test_what_ends_or_goes_is_told_and_nothing_else() -> None:
    stream = Stream(
        READY,
        Event(kind="job", data={"job_id": 90, "job_state": "RUNNING"}),
        Event(kind="job", data={"job_id": 90, "job_state": "COMPLETED", "array_job_id": None}),
        Event(kind="gone", data={"job_id": 91}),
        Event(kind="job", data={"job_id": 93, "job_state": "FAILED", "array_job_id": 92}),
        Event(kind="trouble", data={}),
        hangs=True,
    )
    assert watched(stream, news=5) == [Listening(flow=True), *(JobChanged(job_id=number) for number in (90, 91, 93, 92))]
    assert stream.users == ["carol"]


def test_when_something_was_missed_all_is_looked_at() -> None:
    assert watched(Stream(READY, Event(kind="reset", data={}), hangs=True), news=2) == [Listening(flow=True), Listening(flow=True)]


@pytest.mark.parametrize("error", [None, refused("upstream_unreachable", 502), refused("token_refused", 401)], ids=str)
def test_a_stream_that_ends_is_begun_anew(error: GatewayError | None) -> None:
    told = watched(Stream(READY, then=error), Stream(READY, hangs=True), news=3)
    assert told == [Listening(flow=True), Listening(flow=False), Listening(flow=True)]


@pytest.mark.parametrize("error", [NoEventsError("none", hint="Poll.", status=404), refused("not_permitted", 403)], ids=str)
def test_where_there_are_no_events_nobody_asks_again(error: GatewayError) -> None:
    inbox = Inbox()
    stream = Stream(then=error)
    watch = JobWatch(inbox, ways(stream), "carol")
    watch.start()
    watch._thread.join(LIMIT)
    assert not watch._thread.is_alive()
    assert stream.users == ["carol"]
    assert inbox.wait(0) == []


def test_a_real_stream_that_is_silent_ends_when_it_is_hung_up() -> None:
    over = threading.Event()
    with fake_gateway() as fake:

        def hang() -> None:
            over.wait(LIMIT)

        fake.on("GET /events", Says(media_type="text/event-stream", pieces=(event("ready"), hang)))
        inbox = Inbox()
        watch = JobWatch(inbox, Gateway(fake.url, token=TOKEN, patience=0).sibling, "carol")
        watch.start()
        assert collect(inbox, 1) == [Listening(flow=True)]
        began = time.monotonic()
        watch.close()
        assert time.monotonic() - began < 1.5
        over.set()
    assert inbox.wait(0) == [Listening(flow=False)]


def changed(folder: Path) -> Iterator[Inbox]:
    inbox = Inbox()
    watch = FolderWatch(inbox, folder)
    watch.start()
    yield inbox
    watch.close()
    assert not watch._thread.is_alive()


@pytest.fixture
def folder_inbox(tmp_path: Path) -> Iterator[Inbox]:
    yield from changed(tmp_path)


def test_a_job_file_that_comes_is_told_and_others_are_not(tmp_path: Path, folder_inbox: Inbox) -> None:
    deadline = time.monotonic() + LIMIT
    while not (told := folder_inbox.wait(0.3)) and time.monotonic() < deadline:  # when it begins to watch is not told
        (tmp_path / f"{time.monotonic()}.json").touch()
    assert set(told) == {FolderChanged()}
    while folder_inbox.wait(0.7):
        pass
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.json").touch()
    assert folder_inbox.wait(1.0) == []


def test_without_watchfiles_the_folder_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    [inbox] = changed(tmp_path)
    assert inbox.wait(0) == []


def test_a_folder_that_cannot_be_watched_is_silent(tmp_path: Path) -> None:
    [inbox] = changed(tmp_path / "none")
    assert inbox.wait(0) == []


def test_the_inbox_waits_no_longer_than_it_is_told_to() -> None:
    inbox = Inbox()
    assert inbox.wait(0.01) == []
    inbox.put(Stop())
    inbox.put(FolderChanged())
    assert inbox.wait(LIMIT) == [Stop(), FolderChanged()]


def test_a_state_that_is_no_word_ends_no_thread() -> None:
    odd = Event(kind="job", data={"job_id": 6, "job_state": ["COMPLETED"]})
    after = Event(kind="job", data={"job_id": 7, "job_state": "COMPLETED"})
    assert watched(Stream(READY, odd, after, hangs=True), news=2) == [Listening(flow=True), JobChanged(job_id=7)]


def test_a_folder_whose_name_is_no_utf_8_is_not_watched_and_that_is_all(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    watch = FolderWatch(Inbox(), folder)
    watch.start()
    watch._thread.join(LIMIT)
    assert not watch._thread.is_alive()
