"""Reads that people share: one call to slurmrestd for all who ask the same at once, and its answer kept for a moment after.

Two promises hold whatever happens. No read is answered from a call that began before the reader's own last change was answered
(``newest_change``), and none from an answer that has been there for longer than ``max_age`` without having been confirmed. An answer that
is older is confirmed where slurmrestd can say that nothing has changed, else asked for anew. It says so of the list, and not of what the
reader may see of it, so what is only ever confirmed is fetched anew after ``confirmed_for``: rights that were taken away end with that.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from gateway.config import Reads as Settings
from gateway.errors import Refusal
from gateway.proxy.packing import Packer, TooLargeToKeep, digest_of, to_gzip, to_zstd
from gateway.slurm.body import Body

T = TypeVar("T")
How = Literal["hit", "revalidated", "joined", "miss"]
Coding = Literal["gzip", "zstd"]
# An answer that turned out too large is not tried to be kept again for so long.
_LARGE_FOR = 60.0
_MAX_LARGE = 1000
# An answer of less than this part of the largest has room while large ones arrive: there are no more of them than calls to slurmrestd.
_SMALL = 128
# What an entry costs beside its body.
_ENTRY = 1024
_MAX_VIEWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What makes two reads the same; ``owner`` is empty where the path looks the same to everybody."""

    cluster: str
    owner: str
    path: str
    query: str
    accept: str | None


class Representation:
    """One form of an answer, and what it was compressed to once somebody wanted that. Its parts are made on threads, each once."""

    __slots__ = ("_codings", "_grown", "_most", "_threads", "body", "content_type", "etag", "next_cursor", "size")

    def __init__(self, rendered: Rendered, *, etag: str, threads: Executor, most: int, grown: Callable[[int], None]) -> None:
        body = self.body = rendered.body
        self.etag = etag
        self.content_type = rendered.content_type
        self.next_cursor = rendered.next_cursor
        self._most = most
        # Bytes that all of it takes.
        self.size = len(body.data) + _ENTRY
        self._threads = threads
        self._grown = grown
        self._codings: dict[Coding, asyncio.Future[bytes]] = {}

    async def encoded(self, coding: Coding) -> bytes:
        """Return the body in a content coding; whoever asks first has it made, the others wait for the same. Raise TooLargeToKeep."""
        if coding == "zstd" and self.body.compressed:
            return self.body.data
        made = self._codings.get(coding)
        if made is None:
            make = to_gzip if coding == "gzip" else to_zstd
            made = asyncio.get_running_loop().run_in_executor(self._threads, make, self.body, self._most)
            self._codings[coding] = made
            made.add_done_callback(lambda done: self._note(coding, done))
        return await asyncio.shield(made)

    def _note(self, coding: Coding, made: asyncio.Future[bytes]) -> None:
        """Count what was made; what could not be made is tried again when it is next wanted."""
        if made.cancelled() or (error := made.exception()) is not None:
            if made.cancelled() or not isinstance(error, TooLargeToKeep):  # which it would be again
                del self._codings[coding]
        else:
            self.size += len(made.result())
            self._grown(len(made.result()))


@dataclass(slots=True, kw_only=True)
class Kept:
    """An answer of 200 that is kept. ``began`` and ``ended`` (monotonic seconds) are those of the last call that showed that it holds."""

    key: Key
    whole: Representation = field(init=False)
    # What to ask slurmrestd with whether it still holds (seconds since the epoch), or None where that cannot be asked.
    since: int | None
    began: float
    ended: float
    # When it was fetched.
    fetched: float = 0.0
    size: int = 0
    views: dict[Hashable, asyncio.Future[Representation]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A whole answer of 200, as it was fetched."""

    body: Body
    etag: str
    content_type: str
    since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Another form of an answer, as it was made."""

    body: Body
    content_type: str
    next_cursor: str | None = None


class Unchanged:
    """What slurmrestd says if what is kept still holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Generic[T]):
    """Any other answer, which is given to those who wait for it and not kept."""

    answer: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """The answer to a read: ``kept`` or, where slurmrestd said something else than 200, ``other``; ``age`` in seconds."""

    how: How
    age: float = 0.0
    kept: Kept | None = None
    other: Other[T] | None = None


Fetch = Callable[[Kept | None, Packer], Awaitable[Fresh | Unchanged | Other[T]]]
"""Asks slurmrestd, given what is kept; a body goes through the packer. May raise TooLargeToKeep and every refusal of the way there."""


class _Flight(Generic[T]):
    """A call under way, and how many wait for it."""

    __slots__ = ("began", "reader", "task", "waiting")

    def __init__(self, began: float, reader: str, task: asyncio.Task[Found[T]]) -> None:
        self.began = began
        self.reader = reader
        self.task = task
        self.waiting = 0


class SharedReads(Generic[T]):
    """What is kept and what is under way in this worker; on one loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._flights: dict[Key, _Flight[T]] = {}
        self._large: dict[Key, float] = {}
        self._used = 0
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="compress")

    @property
    def used(self) -> int:
        """Bytes that are held: what is kept and what is arriving."""
        return self._used

    def __len__(self) -> int:
        return len(self._kept)

    def close(self) -> None:
        """End what is under way."""
        for flight in list(self._flights.values()):
            flight.task.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, key: Key, fetch: Fetch[T], *, reader: str, newest_change: float, forced: bool = False) -> Found[T]:
        """Answer a read, from what is kept if that may be, from a call under way if that may be, else from a call of its own.

        ``newest_change`` is when the reader last changed something (monotonic seconds); ``forced`` asks slurmrestd in any case.
        Raises TooLargeToKeep for what has to be passed on as it comes, and whatever ``fetch`` raises. What went wrong with somebody else's
        call, or was said to them other than 200, is never the answer.
        """
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and not forced and kept.began > newest_change and now - kept.ended <= self._settings.max_age:
            self._kept.move_to_end(key)
            return Found(how="hit", age=now - kept.ended, kept=kept)
        if self._is_large(key, now):
            raise TooLargeToKeep
        flight = self._flights.get(key)
        if flight is not None and flight.began > newest_change and not forced and (found := await self._joined(key, flight, reader)):
            return found
        began = self._clock()
        flight = _Flight(began, reader, asyncio.create_task(self._fly(key, began, fetch, None if forced else self._to_confirm(key, began))))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._landed(key, flight))
        return await self._join(key, flight)

    def _to_confirm(self, key: Key, now: float) -> Kept | None:
        """Return what is kept, unless it has been confirmed for long enough."""
        kept = self._kept.get(key)
        return kept if kept is not None and now - kept.fetched <= self._settings.confirmed_for else None

    async def _joined(self, key: Key, flight: _Flight[T], reader: str) -> Found[T] | None:
        """Return what a call of somebody else's comes to, or None if that is no answer to ``reader``."""
        try:
            found = await self._join(key, flight)
        except (Refusal, TooLargeToKeep):
            if flight.reader == reader:
                raise
            return None
        if found.kept is None and flight.reader != reader:
            return None
        return Found(how="joined", age=found.age, kept=found.kept, other=found.other)

    async def _join(self, key: Key, flight: _Flight[T]) -> Found[T]:
        """Wait for a call under way; when nobody waits for it any more, it is broken off."""
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._landed(key, flight)
                flight.task.cancel()

    def _landed(self, key: Key, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # whoever waits has it

    async def _fly(self, key: Key, began: float, fetch: Fetch[T], previous: Kept | None) -> Found[T]:
        held = 0

        def grow(more: int) -> None:
            nonlocal held
            self._used += more
            held += more
            self._evict()
            if held > self._settings.max_answer or (self._used > self._settings.memory and held > self._settings.max_answer // _SMALL):
                raise TooLargeToKeep

        try:
            outcome = await fetch(previous, Packer(self.threads, grow, self._settings.max_answer))
        except TooLargeToKeep:
            # That there is no room just now may be due to somebody else's large answers.
            if held > self._settings.max_answer or self._used <= self._settings.memory:
                self._note_large(key)
            raise
        finally:
            self._used -= held
        ended = self._clock()
        if isinstance(outcome, Other):
            self._drop(key)
            return Found(how="miss", other=outcome)
        if isinstance(outcome, Unchanged):
            if previous is None:
                raise RuntimeError("nothing was asked about")
            previous.began, previous.ended = max(previous.began, began), max(previous.ended, ended)
            self._keep(previous)
            return Found(how="revalidated", kept=previous)
        kept = Kept(key=key, since=outcome.since, began=began, ended=ended, fetched=began)
        kept.whole = self._representation(kept, Rendered(body=outcome.body, content_type=outcome.content_type), outcome.etag)
        kept.size = kept.whole.size
        self._keep(kept)
        return Found(how="miss", kept=kept)

    async def view(self, kept: Kept, view: Hashable, make: Callable[[], Awaitable[Rendered]]) -> Representation:
        """Return another form of what is kept; whoever asks for it first has it made, and what failed is not remembered."""
        made = kept.views.get(view)
        if made is None:
            made = kept.views[view] = asyncio.create_task(self._render(kept, view, make))
            while len(kept.views) > _MAX_VIEWS:
                self._forget(kept, next(iter(kept.views)))
            made.add_done_callback(lambda done: self._rendered(kept, view, done))
        return await asyncio.shield(made)

    async def _render(self, kept: Kept, view: Hashable, make: Callable[[], Awaitable[Rendered]]) -> Representation:
        rendered = await make()
        return self._representation(kept, rendered, tag_of(kept, view))

    def _rendered(self, kept: Kept, view: Hashable, made: asyncio.Future[Representation]) -> None:
        if made.cancelled() or made.exception() is not None:
            if kept.views.get(view) is made:
                del kept.views[view]
        else:
            self._grow(kept, made.result().size)

    def _forget(self, kept: Kept, view: Hashable) -> None:
        """Let go of a form, and of what it was counted for."""
        made = kept.views.pop(view)
        if made.done() and not made.cancelled() and made.exception() is None:
            self._grow(kept, -made.result().size)

    def _representation(self, kept: Kept, rendered: Rendered, etag: str) -> Representation:
        most = self._settings.max_answer
        return Representation(rendered, etag=etag, threads=self.threads, most=most, grown=lambda more: self._grow(kept, more))

    def _grow(self, kept: Kept, more: int) -> None:
        """Count more bytes for what is kept."""
        kept.size += more
        if self._kept.get(kept.key) is kept:
            self._used += more
            self._evict()

    def _keep(self, kept: Kept) -> None:
        """Keep it, unless what is kept already is from a later call."""
        there = self._kept.get(kept.key)
        if there is kept:
            self._kept.move_to_end(kept.key)
            return
        if there is not None:
            if there.began > kept.began:
                return
            self._drop(kept.key)
        self._kept[kept.key] = kept
        self._used += kept.size
        self._evict()

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._used -= kept.size

    def _evict(self) -> None:
        """Let go of what was used least recently until the rest fits."""
        while self._used > self._settings.memory and self._kept:
            _, kept = self._kept.popitem(last=False)
            self._used -= kept.size

    def _is_large(self, key: Key, now: float) -> bool:
        until = self._large.get(key)
        if until is not None and until <= now:
            del self._large[key]
            return False
        return until is not None

    def _note_large(self, key: Key) -> None:
        if len(self._large) >= _MAX_LARGE:
            self._large.clear()
        self._large[key] = self._clock() + _LARGE_FOR


def tag_of(kept: Kept, view: Hashable) -> str:
    """Return the entity tag of a form of what is kept: the same for whatever looks the same."""
    return f'{kept.whole.etag[:-1]}.{digest_of(repr(view).encode())[:12]}"'
