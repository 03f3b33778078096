"""The events of one feed, in the form in which they go out (WHATWG HTML section 9.2): written once, read by many, each at their own place.

An event's id is ``STAMP-NUMBER``. The stamp is random and belongs to one feed of one worker, so that an id from anywhere else, or from before a
restart, is known for foreign and never taken for a place in this one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import structs

from gateway.slurm.news import Choice, Told

# Whoever reads has this long for it, however many events come: then the oldest make room.
_LEAST = 10.0
_PIECE = 32 * 1024
_ID = re.compile(r"([0-9a-f]{16})-(0|[1-9][0-9]{0,14})")


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one event stands in its page, and what it tells."""

    number: int
    start: int
    end: int
    told: Told


@dataclass(frozen=True, slots=True)
class Page:
    """Events that came at one moment (monotonic seconds); ``whole`` is all of them, encoded."""

    entries: tuple[_Entry, ...]
    whole: bytes
    at: float

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.entries[-1].number

    def chosen(self, after: int, choice: Choice) -> tuple[bytes, int]:
        """Return the events behind number ``after`` that somebody wants, and how many there are."""
        if choice.takes_all and after < self.entries[0].number:
            return self.whole, len(self.entries)
        taken = [entry for entry in self.entries if entry.number > after and choice.takes(entry.told)]
        return b"".join(self.whole[entry.start : entry.end] for entry in taken), len(taken)


class Piece(NamedTuple):
    """Events in the form in which they go out, how many they are, and up to which number this is all of them."""

    data: bytes
    events: int
    last: int


class History:
    """What was told, up to ``most`` events of it."""

    def __init__(self, stamp: str, most: int) -> None:
        self._stamp = stamp
        self._most = most
        self._pages: deque[Page] = deque()
        self._count = 0
        self.newest = 0
        """The number of the newest event; zero before the first."""

    def __len__(self) -> int:
        return self._count

    def add(self, changes: Sequence[Told], now: float) -> None:
        """Tell of changes that have been seen."""
        if not changes:
            return
        parts: list[bytes] = []
        entries: list[_Entry] = []
        start = 0
        for number, told in enumerate(changes, self.newest + 1):
            # JSON in one line has no line feed and no carriage return in it, whatever a job is called.
            part = b"id: %b\nevent: %b\ndata: %b\n\n" % (self.id_of(number), told.event.encode(), told.data)
            parts.append(part)
            entries.append(_Entry(number, start, start + len(part), structs.replace(told, data=b"")))
            start += len(part)
        self._pages.append(Page(tuple(entries), b"".join(parts), now))
        self._count += len(entries)
        self.newest += len(entries)
        while self._count > self._most and now - self._pages[0].at > _LEAST:
            self._count -= len(self._pages.popleft().entries)

    def id_of(self, number: int) -> bytes:
        """Return the id of an event."""
        return f"{self._stamp}-{number}".encode()

    def place_of(self, event_id: str) -> int | None:
        """Return the number that an id stands for, or None when it is foreign, or no id at all."""
        match = _ID.fullmatch(event_id)
        if match is None or match[1] != self._stamp or int(match[2]) > self.newest:
            return None
        return int(match[2])

    def has_all_after(self, number: int) -> bool:
        """Tell whether every event behind this one is still there."""
        return number >= self.newest - self._count

    def after(self, number: int, choice: Choice) -> Iterator[Piece]:
        """Yield the events behind number ``number`` that somebody wants, oldest first, in pieces that are sent at once."""
        pages: list[Page] = []
        for page in reversed(self._pages):
            if page.last <= number:
                break
            pages.append(page)
        parts: list[bytes] = []
        size = count = 0
        while pages:
            page = pages.pop()
            part, taken = page.chosen(number, choice)
            if part:
                parts.append(part)
            size, count = size + len(part), count + taken
            if size >= _PIECE or not pages:
                yield Piece(parts[0] if len(parts) == 1 else b"".join(parts), count, page.last)
                parts, size, count = [], 0, 0
