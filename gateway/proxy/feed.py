"""What happens to the jobs of a cluster, as it is seen with one pair of eyes, for everybody who may see with them.

While somebody listens, the list of jobs is looked at again and again; when nobody does, not at all. What has changed goes into a history
that all listeners read, each at their own place, so that a slow one holds up nobody. What is seen when somebody comes back within ``keep``
is compared with what was seen last, so that nothing that lasted is lost; states that a job went through meanwhile are not told.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.config import Events as Settings
from gateway.errors import InternalError, Refusal
from gateway.proxy.history import History
from gateway.slurm.body import Body
from gateway.slurm.news import News, States, told

logger = structlog.get_logger()

# Those who ask at once are looked up together.
_TOGETHER = 0.02
# Whoever is woken writes at once; between so many of them, others have their turn.
_AT_ONCE = 50
_MAX_RESTING = 100


class Listener:
    """Somebody who follows a feed, until ``ended`` says why no longer."""

    __slots__ = ("_news", "_sleeping", "ended")

    def __init__(self) -> None:
        self.ended: Refusal | None = None
        self._news = False
        self._sleeping: asyncio.Future[None] | None = None

    def end(self, why: Refusal) -> None:
        """Have it end; the first reason stays."""
        self.ended = self.ended or why
        self.wake()

    def wake(self) -> None:
        """Tell it that there is something to look at."""
        self._news = True
        if self._sleeping is not None and not self._sleeping.done():
            self._sleeping.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Return when it has been woken since it last slept, at the latest after ``seconds``."""
        if not self._news and seconds > 0:
            loop = asyncio.get_running_loop()
            self._sleeping = loop.create_future()
            timer = loop.call_later(seconds, self.wake)
            try:
                await self._sleeping
            finally:
                timer.cancel()
                self._sleeping = None
        self._news = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The list as it was seen: the same list has the same ``etag``; ``began`` and ``ended`` (monotonic seconds) are those of the call."""

    body: Body
    etag: str
    began: float
    ended: float


class Eyes(Protocol):
    """What looks at the jobs of one cluster, and makes sense of what it sees."""

    async def look(self, listener: Listener, newer_than: float) -> Seen:
        """Return the list as ``listener`` may see it, by a call that began after ``newer_than``; raise Refusal."""
        ...

    async def news(self, before: Body | None, body: Body, asked: Iterable[int]) -> News:
        """Return what is new in it; raise Refusal."""
        ...

    async def states(self, snapshot: Body, asked: Iterable[int]) -> dict[int, States]:
        """Return the states of jobs as they were seen; raise Refusal."""
        ...


class Feed:
    """One view of a cluster's jobs. ``trouble`` is why it cannot be seen now; ``began`` and ``ended`` are those of the last look that worked."""

    def __init__(self, eyes: Eyes, settings: Settings, *, stamp: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._eyes = eyes
        self._settings = settings
        self._clock = clock
        self.history = History(stamp, settings.history)
        self.listeners: dict[Listener, None] = {}
        self.trouble: Refusal | None = None
        self.began = -1.0
        self.ended = -1.0
        self._fresh = False
        self._snapshot: Body | None = None
        self._etag = ""
        self._floor = -1.0
        self._asked: dict[int, int] = {}
        self._states: dict[int, States] = {}
        self._hurry = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether the jobs have been seen since somebody began to listen, so that every change from now on will be told."""
        return self._fresh

    def join(self, listener: Listener) -> None:
        """Have ``listener`` woken whenever there is something new; the first one begins the looking."""
        self.listeners[listener] = None
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on())

    def leave(self, listener: Listener) -> None:
        """Forget ``listener``; the last one ends the looking."""
        self.listeners.pop(listener, None)
        if not self.listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None
            self._fresh = False
            self.trouble = None

    def ask(self, job_id: int, newer_than: float) -> None:
        """Have the states of a job looked up from now on, soon, and as they are after ``newer_than``; goes with ``ask_no_more``."""
        self._asked[job_id] = self._asked.get(job_id, 0) + 1
        self.want(newer_than)

    def want(self, newer_than: float) -> None:
        """Look again soon, and see nothing from before ``newer_than`` (monotonic seconds)."""
        self._floor = max(self._floor, newer_than)
        self._hurry.set()

    def ask_no_more(self, job_id: int) -> None:
        """Undo one ``ask``."""
        self._asked[job_id] -= 1
        if not self._asked[job_id]:
            del self._asked[job_id]
            self._states.pop(job_id, None)

    def states_of(self, job_id: int) -> States | None:
        """Return the states of a job that is asked about, or None while they are not known."""
        return self._states.get(job_id)

    # Looking.

    async def _look_on(self) -> None:
        """Look, and look again after a while: slurmrestd is left alone for at least as long as a look takes."""
        failures = 0
        while True:
            started = self._clock()
            self._hurry.clear()
            failures = 0 if await self._look() else failures + 1
            interval = self._settings.interval * min(2**failures, 8)
            await self._pause(interval, least=max(_TOGETHER, self._clock() - started))

    async def _pause(self, seconds: float, *, least: float) -> None:
        """Wait for a while, or for somebody who is in a hurry; but ``least`` in any case."""
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds - least):
                await self._hurry.wait()

    async def _look(self) -> bool:
        """Look once; tell whether that worked. Who looked in vain is the last to look again."""
        loop = asyncio.get_running_loop()
        listener = next((one for one in self.listeners if one.ended is None), None)
        if listener is None:
            return True  # all of them are about to leave
        slow = loop.call_later(self._settings.heartbeat, self._say, _TooSlow("the look at the jobs takes long"))
        try:
            is_news = await self._see(listener)
        except Refusal as refusal:
            self._say(refusal)
            if listener in self.listeners:
                self.listeners[listener] = self.listeners.pop(listener)
            return False
        except Exception:
            logger.exception("feed_failed")
            self._say(InternalError("feed: unexpected exception"))
            return False
        finally:
            slow.cancel()
        if self.trouble is not None or not self._fresh:
            self.trouble, self._fresh, is_news = None, True, True
        if is_news:
            await self._wake_all()
        return True

    async def _see(self, listener: Listener) -> bool:
        """Look, and take in what there is; tell whether anybody has to know."""
        asked = frozenset(self._asked)
        seen = await self._eyes.look(listener, self._floor)
        is_news = False
        if self._snapshot is None or seen.etag != self._etag:
            news = await self._eyes.news(self._snapshot, seen.body, asked)
            for page in news.pages:
                self.history.add(told(page), self._clock())
                await asyncio.sleep(0)
            self._snapshot, self._etag = news.snapshot, seen.etag
            self._take(news.states)
            is_news = bool(news.pages) or bool(asked)
        elif new := asked - self._states.keys():
            self._take(await self._eyes.states(self._snapshot, new))
            is_news = True
        # A look may confirm what was seen before; whoever asked for a later one has it now.
        is_news = is_news or (bool(asked) and self.began < self._floor)
        self.began, self.ended = seen.began, max(seen.ended, self.ended)
        return is_news

    def _take(self, states: dict[int, States]) -> None:
        self._states.update((job_id, found) for job_id, found in states.items() if job_id in self._asked)

    def _say(self, trouble: Refusal) -> None:
        """Say once that the jobs cannot be seen."""
        if self.trouble is None:
            self.trouble = trouble
            for listener in self.listeners:
                listener.wake()

    async def _wake_all(self) -> None:
        for number, listener in enumerate(list(self.listeners), 1):
            listener.wake()
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)


class _TooSlow(Refusal):
    """slurmrestd has not answered for as long as a stream is silent at most."""

    status = 504
    reason = "upstream_slow"
    title = "Slurm's REST API is slow"
    default_detail = "slurmrestd has not answered yet. What happens meanwhile will be told when it does."
    default_hint = "Nothing needs to be done; the stream goes on."


class Feeds:
    """The feeds of a worker: those that somebody listens to, and for ``keep`` seconds those that somebody may come back to."""

    def __init__(self, settings: Settings, stamp: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._stamp = stamp
        self._clock = clock
        self._live: dict[Hashable, Feed] = {}
        self._resting: OrderedDict[Hashable, tuple[Feed, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live) + len(self._resting)

    def find(self, key: Hashable) -> Feed | None:
        """Return the feed that somebody listens to, if anybody does."""
        return self._live.get(key)

    def join(self, key: Hashable, listener: Listener, eyes: Callable[[], Eyes]) -> Feed:
        """Return the feed of this view with ``listener`` in it."""
        self._forget()
        feed = self._live.get(key)
        if feed is None:
            rested = self._resting.pop(key, None)
            feed = rested[0] if rested else Feed(eyes(), self._settings, stamp=self._stamp(), clock=self._clock)
            self._live[key] = feed
        feed.join(listener)
        return feed

    def leave(self, key: Hashable, listener: Listener) -> None:
        """Take ``listener`` out of a feed."""
        feed = self._live[key]
        feed.leave(listener)
        if not feed.listeners:
            del self._live[key]
            self._resting[key] = (feed, self._clock())
            self._forget()

    def _forget(self) -> None:
        horizon = self._clock() - self._settings.keep
        while self._resting and (len(self._resting) > _MAX_RESTING or next(iter(self._resting.values()))[1] <= horizon):
            self._resting.popitem(last=False)
