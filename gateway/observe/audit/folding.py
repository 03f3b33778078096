"""Folding: what strangers are refused over and over is written down so often and no more; how often it was left out is told (pure).

Without it anybody could fill the disk that the trail is on, and what cannot be written down is not done.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 60.0
_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Count:
    since: float
    written: int = 1
    left_out: int = 0


class Folding:
    """Lets ``most`` lines about each address through within a minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, _Count] = {}

    def admit(self, address: str, now: float) -> int | None:
        """Return how many lines about ``address`` were left out before this one, or None when this one is left out too."""
        count = self._counts.get(address)
        if count is None or not 0 <= now - count.since < WINDOW:
            if count is None and len(self._counts) >= _MOST_ADDRESSES:
                self._forget(now)
            self._counts[address] = _Count(now)
            return count.left_out if count is not None else 0
        if count.written < self._most:
            count.written += 1
            return 0
        count.left_out += 1
        return None

    def _forget(self, now: float) -> None:
        """Make room: for those whose minute is over if that is enough, else for everybody."""
        self._counts = {address: count for address, count in self._counts.items() if 0 <= now - count.since < WINDOW}
        if len(self._counts) >= _MOST_ADDRESSES:
            self._counts.clear()
