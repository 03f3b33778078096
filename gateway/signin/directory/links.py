"""Kept connections, so that a sign-in costs no handshake.

A link that is bound as the service account searches; those of another kind, on which people are bound, do nothing else, for each bind
replaces the one before (RFC 4513 section 4).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from gateway.signin.directory.link import Link

# Servers close what is idle in minutes; what is kept for less is seldom found closed.
IDLE = 60.0


class Links:
    """Links of one kind that wait for their next question, by server; each is closed after ``idle`` seconds."""

    def __init__(self, idle: float = IDLE) -> None:
        self._idle = idle
        self._waiting: defaultdict[str, list[tuple[Link, asyncio.TimerHandle]]] = defaultdict(list)

    def take(self, url: str) -> Link | None:
        """Return a link whose server has not hung up, or None."""
        while self._waiting[url]:
            link, end = self._waiting[url].pop()  # the last one used: the others come to their end
            end.cancel()
            if link.usable:
                return link
            link.close()
        return None

    def keep(self, url: str, link: Link) -> None:
        """Keep a link whose question was answered."""
        if not link.usable:
            link.close()
            return
        end = asyncio.get_running_loop().call_later(self._idle, self._end, url, link)
        self._waiting[url].append((link, end))

    def drop(self, url: str) -> None:
        """Close all links to a server that turned out to be gone."""
        for link, end in self._waiting.pop(url, []):
            end.cancel()
            link.close()

    def close(self) -> None:
        """Close all links."""
        for url in list(self._waiting):
            self.drop(url)

    def _end(self, url: str, link: Link) -> None:
        self._waiting[url] = [waiting for waiting in self._waiting[url] if waiting[0] is not link]
        link.close()
