"""When each person last changed something: no answer from before that is given to them again.

All workers of a gateway share it, for a change may go through one and the read that follows through another. Each worker writes into a
row of its own, so that two that write at once cannot undo each other's; a reader takes the latest of all rows. People are spread over a
fixed number of places: that two share one costs a call to slurmrestd now and then, and nothing else.
"""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Callable

_PLACES = 4096
_WIDTH = 8  # bytes of a time in nanoseconds, written in one piece


class Recency:
    """Times of changes, by cluster and user, in memory that processes forked from this one share."""

    def __init__(self, rows: int = 1, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._rows = rows
        self._clock = clock
        self._shared = memoryview(mmap.mmap(-1, rows * _PLACES * _WIDTH)).cast("Q")
        self._row = 0
        self._places: dict[tuple[str, str], int] = {}

    def write_into(self, row: int) -> None:
        """Make ``row`` the one that this process writes into; no other process that lives may have it."""
        self._row = row

    def note(self, cluster: str, username: str) -> None:
        """Note that a change of ``username`` has come to its end now; before its answer goes out."""
        self._shared[self._row * _PLACES + self._place(cluster, username)] = self._clock()

    def knows(self, cluster: str, username: str, moment: float) -> None:
        """Note that ``username`` is told how things were at ``moment``, in seconds of the monotonic clock: as if they had changed something then."""
        place = self._row * _PLACES + self._place(cluster, username)
        self._shared[place] = max(self._shared[place], int(moment * 1e9))

    def last(self, cluster: str, username: str) -> float:
        """Return when ``username`` last changed something there, in seconds of the monotonic clock; zero if never."""
        place = self._place(cluster, username)
        if self._rows == 1:
            return self._shared[place] / 1e9
        return max(self._shared[place + row * _PLACES] for row in range(self._rows)) / 1e9

    def _place(self, cluster: str, username: str) -> int:
        place = self._places.get((cluster, username))
        if place is None:
            digest = hashlib.blake2b(f"{cluster}\0{username}".encode(), digest_size=8).digest()
            if len(self._places) >= _PLACES:
                self._places.clear()
            place = self._places[cluster, username] = int.from_bytes(digest) % _PLACES
        return place
