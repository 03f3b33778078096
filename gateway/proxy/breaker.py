"""The circuit breaker of one slurmrestd (pure): after some failures in a row it is left alone for a while, then asked once."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Whether calls go to it. The value is what the metrics say."""

    CLOSED = 0
    """It is asked."""
    HALF_OPEN = 1
    """One question is on its way that will tell whether it is well again; nothing else goes there."""
    OPEN = 2
    """It is left alone."""


class Breaker:
    """Counts failures in a row; an answer of any status, to anybody, ends the row and closes the breaker."""

    __slots__ = ("_failures", "_in_a_row", "_open_for", "_until", "state")

    def __init__(self, failures: int, open_for: float) -> None:
        self._failures = failures
        self._open_for = open_for
        self._in_a_row = 0
        self._until = 0.0
        self.state = State.CLOSED

    @property
    def closed(self) -> bool:
        """Whether it is asked as ever."""
        return self.state is State.CLOSED

    def due(self, now: float) -> bool:
        """Whether it has been left alone for long enough to be asked once."""
        return self.state is State.OPEN and now >= self._until

    def wait(self, now: float) -> float:
        """Return the seconds until it is due."""
        return max(0.0, self._until - now)

    def answered(self) -> None:
        """Note an answer."""
        self._in_a_row = 0
        self.state = State.CLOSED

    def failed(self) -> bool:
        """Count a failure; tell whether these are as many in a row as it takes."""
        self._in_a_row += 1
        return self._in_a_row >= self._failures

    def trip(self, now: float) -> None:
        """Leave it alone from ``now`` on."""
        self.state = State.OPEN
        self._until = now + self._open_for

    def half_open(self) -> None:
        """Note that the one question is on its way."""
        self.state = State.HALF_OPEN
