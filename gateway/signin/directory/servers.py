"""Which server is asked first, and which is down (pure; the clock comes from outside)."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Servers:
    """The servers in their configured order; one that failed is asked last for ``down_for`` seconds of ``clock``."""

    def __init__(self, urls: Sequence[str], down_for: float, clock: Callable[[], float]) -> None:
        self._urls = tuple(urls)
        self._down_for = down_for
        self._clock = clock
        self._down_until: dict[str, float] = {}

    def turn(self) -> tuple[str, ...]:
        """Return all servers in the order in which this caller is to ask them.

        When a server's time is over, one caller tries it first, and for everybody else it stays down until it has answered that one.
        """
        now = self._clock()
        down = [url for url in self._urls if self._down_until.get(url, now) > now]
        up = [url for url in self._urls if url not in down]
        for url in up:
            if url in self._down_until:
                self._down_until[url] = now + self._down_for
        return (*up, *down)

    def failed(self, url: str) -> None:
        """Note that a server could not be asked, or did not answer."""
        self._down_until[url] = self._clock() + self._down_for

    def answered(self, url: str) -> None:
        """Note that a server is there."""
        self._down_until.pop(url, None)
